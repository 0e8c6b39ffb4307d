// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest

import (
	"cmp"
	"slices"
	"testing"
	"time"
)

// CheckPromise tries one promise and reports to tb.
func CheckPromise(t *testing.T, tb testing.TB, name string, mp MakePair, opts Options) {
	t.Helper()
	i := slices.IndexFunc(promises, func(p promise) bool { return p.name == name })
	if i < 0 {
		t.Fatalf("no promise called %s", name)
	}
	opts.MaxFrameSize = cmp.Or(opts.MaxFrameSize, 1514)
	opts.Watchdog = cmp.Or(opts.Watchdog, time.Minute)
	check(tb, promises[i], mp, opts)
}

// PromiseNames returns the names of all promises.
func PromiseNames() (names []string) {
	for _, p := range promises {
		names = append(names, p.name)
	}
	return names
}
