// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"testing"
	"time"
)

// ConformanceRace says whether the race detector is on.
const ConformanceRace = conformanceRace

// CheckPromise tries one promise with one variant of it and reports to tb.
func CheckPromise(t *testing.T, tb testing.TB, name, variant string, mp MakePair, opts ConnOptions) {
	t.Helper()
	checks, _ := conformanceChecks(t, mp, opts)
	for _, c := range checks {
		if c.name == name {
			c.run(tb, variant)
			return
		}
	}
	t.Fatalf("no promise called %s", name)
}

// SetLeakPatience sets how long the checks for leaks wait, and returns how long they did before.
func SetLeakPatience(d time.Duration) (old time.Duration) {
	old, leakPatience = leakPatience, d
	return old
}
