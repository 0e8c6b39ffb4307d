// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build poolleak

package pool_test

import (
	"slices"
	"testing"

	"github.com/go-vde/sdk/pool"
)

// TestOwners checks that Leaks names who holds a buffer.
func TestOwners(t *testing.T) {
	if !pool.LeakMode {
		t.Error("LeakMode is false")
	}
	p := pool.New(64, 16)
	site := below(2)
	bs := make([]*pool.Buffer, 2)
	p.GetBatch(bs)
	want := func(what string, entries ...string) {
		t.Helper()
		for i := range entries {
			entries[i] = site + entries[i]
		}
		if got := p.Leaks(); !slices.Equal(got, entries) {
			t.Errorf("%s: Leaks = %q, want %q", what, got, entries)
		}
	}
	want("nobody", "", "")
	pool.AddOwner("a", bs[0], nil)
	want("the first", "", ", held by a")
	pool.AddOwner("b", bs...)
	want("another, which has the only references", ", held by b", ", held by b")
	pool.AddOwner("", bs[1])
	want("nobody again", "", ", held by b")

	shared := bs[0].Retain()
	pool.AddOwner("a", shared)
	want("two references", "", ", held by a, b")
	shared.Retain()
	pool.AddOwner("b", shared)
	want("two references of one", "", ", held by a, b")
	shared.Release()
	want("three owners, two references", "", ", 2 references held by some of a, b")
	pool.RemoveOwner("b", bs...)
	want("given away", "", ", held by a, b")
	pool.RemoveOwner("b", bs...)
	pool.RemoveOwner("b", bs...)
	want("given away, and once more", "", ", held by a")
	pool.AddOwner("c", shared)
	shared.Release()
	want("two owners, one reference", "", ", 1 reference held by some of a, c")
	bs[0].Release()
	bs[1].Release()
	want("all released")
	bs[0] = nil
	site = below(1)
	b := p.Get()
	want("taken again", "")
	w := b.Bytes()
	pool.AddOwner("the one to blame", b)
	b.Release()
	mustPanic(t, "use of a released buffer", func() { pool.AddOwner("a", b) })
	w[0] = 1
	mustPanic(t, "of a buffer taken at "+site+", last held by the one to blame", func() { p.Get() })
}
