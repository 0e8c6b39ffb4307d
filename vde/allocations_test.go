// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import "testing"

// checkNoAllocations checks that f allocates nothing.
func checkNoAllocations(t *testing.T, name string, f func()) {
	t.Helper()
	for range 3 {
		f() // what is made once
	}
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", name, n)
	}
}

// mustMove checks what a read or write method returned.
func mustMove(t *testing.T, want, n int, err error) {
	if n != want || err != nil {
		t.Helper()
		t.Fatal(n, err)
	}
}
