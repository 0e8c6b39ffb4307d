// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ptp

import (
	"errors"
	"syscall"
	"testing"
)

// FuzzGreeting reads every greeting: 0 alone is a yes, and an errno is what the error
// matches.
func FuzzGreeting(f *testing.F) {
	for _, b := range []byte{0, 1, 13, 98, 106, 255} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b byte) {
		err := greeting(b).err()
		if (err == nil) != (b == 0) || b != 0 && !errors.Is(err, syscall.Errno(b)) {
			t.Errorf("%d: %v", b, err)
		}
		if b != byte(syscall.EADDRINUSE) && errors.Is(err, syscall.EADDRINUSE) != (b == eisconn) {
			t.Errorf("%d: %v", b, err)
		}
	})
}
