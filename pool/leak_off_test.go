// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !poolleak

package pool_test

import (
	"runtime"
	"testing"
	"weak"

	"github.com/go-vde/sdk/pool"
)

func TestAllocs(t *testing.T) {
	p := pool.New(2048, 64)
	bs := make([]*pool.Buffer, 32)
	ws := make([][]byte, 32)
	for name, f := range map[string]func(){
		"Get and Release": func() { p.Get().Release() },
		"batch": func() {
			p.GetBatch(bs)
			ws = pool.Windows(ws, bs)
			pool.ReleaseBatch(bs)
		},
		"references and window": func() {
			b := p.Get()
			b.SetLen(100)
			b.Prepend(14)[0] = 1
			b.TrimFront(14)
			b.Retain().Release()
			b.Release()
		},
		"Stats": func() { p.Stats() },
		"Leaks": func() { p.Leaks() },
		"owner": func() {
			b := p.Get()
			pool.AddOwner("test", b)
			pool.RemoveOwner("test", b)
			b.Release()
		},
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func TestLeaksWithoutTag(t *testing.T) {
	p := pool.New(64, 0)
	b := p.Get()
	pool.AddOwner("test", b)
	if l := p.Leaks(); l != nil || pool.LeakMode {
		t.Errorf("Leaks = %v, want nil; LeakMode is %v", l, pool.LeakMode)
	}
	b.Release()
}

// TestDroppedBuffer checks that the pool does not keep alive what it handed out.
func TestDroppedBuffer(t *testing.T) {
	p := pool.New(64, 0)
	bs := make([]*pool.Buffer, 4)
	p.GetBatch(bs)
	pool.ReleaseBatch(bs)

	var dropped [4]weak.Pointer[pool.Buffer]
	dropped[0] = weak.Make(p.Get())
	p.GetBatch(bs[:3])
	for i, b := range bs[:3] {
		dropped[i+1] = weak.Make(b)
	}
	clear(bs)
	runtime.GC()
	for i, w := range dropped {
		if w.Value() != nil {
			t.Errorf("buffer %d is still reachable", i)
		}
	}
	checkLive(t, p, 4)
}
