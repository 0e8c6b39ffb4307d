// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package pool_test

import (
	"math"
	"strings"
	"testing"

	"github.com/go-vde/sdk/pool"
)

// mustPanic runs f and checks that it panics with a message containing want.
func mustPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got, ok := recover().(string); !ok || !strings.Contains(got, want) {
			t.Errorf("panic %q, want one that contains %q", got, want)
		}
	}()
	f()
}

// checkLive checks that n buffers of p are live.
func checkLive(t *testing.T, p *pool.Pool, n int64) {
	t.Helper()
	s := p.Stats()
	if s.Live != n || s.Live != int64(s.Gets-s.Releases) {
		t.Errorf("%+v, want Live %d; leaks: %v", s, n, p.Leaks())
	}
}

func TestNew(t *testing.T) {
	mustPanic(t, "size less than 1", func() { pool.New(0, 16) })
	mustPanic(t, "negative headroom", func() { pool.New(1, -1) })
	mustPanic(t, "overflow", func() { pool.New(math.MaxInt, 1) })

	p := pool.New(1, 0)
	b := p.Get()
	if len(b.Bytes()) != 1 || cap(b.Bytes()) != 1 || b.Headroom() != 0 {
		t.Errorf("window of %d, capacity %d, headroom %d; want 1, 1, 0", len(b.Bytes()), cap(b.Bytes()), b.Headroom())
	}
	b.Release()
}

func TestGetRelease(t *testing.T) {
	p := pool.New(100, 20)
	if s := p.Stats(); s != (pool.Stats{}) {
		t.Errorf("new pool: %+v", s)
	}
	a, b := p.Get(), p.Get()
	if a == b {
		t.Fatal("one buffer handed out twice")
	}
	for _, x := range []*pool.Buffer{a, b} {
		if len(x.Bytes()) != 100 || x.Headroom() != 20 {
			t.Errorf("window of %d, headroom %d; want 100, 20", len(x.Bytes()), x.Headroom())
		}
		x.TrimFront(50)
		x.SetLen(3)
		x.Release()
	}
	if s, want := p.Stats(), (pool.Stats{Gets: 2, Releases: 2, Allocs: 2}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	c := p.Get()
	if c != a && c != b {
		t.Error("Get did not reuse a released buffer")
	}
	if len(c.Bytes()) != 100 || c.Headroom() != 20 {
		t.Errorf("reused: window of %d, headroom %d; want 100, 20", len(c.Bytes()), c.Headroom())
	}
	checkLive(t, p, 1)
	c.Release()
	checkLive(t, p, 0)
}

func TestGetBatch(t *testing.T) {
	p := pool.New(64, 0)
	p.GetBatch(nil)
	bs := make([]*pool.Buffer, 8)
	p.GetBatch(bs)
	seen := map[*pool.Buffer]bool{}
	for i, b := range bs {
		if b == nil || seen[b] || len(b.Bytes()) != 64 {
			t.Fatalf("element %d: %p", i, b)
		}
		seen[b] = true
	}
	checkLive(t, p, 8)

	// The reader got three frames and passed them on.
	given := []*pool.Buffer{bs[0], bs[3], bs[7]}
	bs[0], bs[3], bs[7] = nil, nil, nil
	kept := append([]*pool.Buffer(nil), bs...)
	bs[1].SetLen(5)
	p.GetBatch(bs)
	for i, b := range bs {
		if kept[i] != nil && b != kept[i] {
			t.Errorf("element %d was replaced", i)
		}
		if kept[i] == nil && (b == nil || seen[b]) {
			t.Errorf("element %d is not a fresh buffer", i)
		}
		if len(b.Bytes()) != 64 {
			t.Errorf("element %d has a window of %d, want 64", i, len(b.Bytes()))
		}
	}
	if s, want := p.Stats(), (pool.Stats{Gets: 11, Allocs: 11, Live: 11}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}

	// Fewer free buffers than asked for, in a batch with occupied elements.
	pool.ReleaseBatch(given[:2])
	bs[2].Release()
	bs[5].Release()
	bs[2], bs[5] = nil, nil
	more := make([]*pool.Buffer, 6)
	more[1], more[4] = bs[1], bs[4]
	bs[1], bs[4] = nil, nil
	p.GetBatch(more)
	seen = map[*pool.Buffer]bool{}
	for i, b := range append(more, bs...) {
		if b != nil && seen[b] {
			t.Errorf("element %d was handed out twice", i)
		}
		seen[b] = true
	}
	if s := p.Stats(); s.Allocs != 11 {
		t.Errorf("%d allocated, want 11", s.Allocs)
	}
	pool.ReleaseBatch(more)
	pool.ReleaseBatch(bs)
	given[2].Release()
	checkLive(t, p, 0)
}

func TestGetBatchRefuses(t *testing.T) {
	p, other := pool.New(64, 0), pool.New(64, 0)
	b := p.Get()
	mustPanic(t, "another pool", func() { other.GetBatch([]*pool.Buffer{b}) })
	b.Retain()
	mustPanic(t, "shared", func() { p.GetBatch([]*pool.Buffer{nil, b}) })
	b.Release()
	b.Release()
	mustPanic(t, "released", func() { p.GetBatch([]*pool.Buffer{b}) })
	checkLive(t, p, 0)
	checkLive(t, other, 0)
}

func TestReleaseBatch(t *testing.T) {
	p, q := pool.New(64, 0), pool.New(128, 0)
	pool.ReleaseBatch(nil)

	shared := p.Get().Retain()
	bs := []*pool.Buffer{p.Get(), nil, q.Get(), q.Get(), shared, p.Get(), nil, q.Get()}
	pool.ReleaseBatch(bs)
	for i, b := range bs {
		if b != nil {
			t.Errorf("element %d was not set to nil", i)
		}
	}
	checkLive(t, p, 1)
	checkLive(t, q, 0)
	pool.ReleaseBatch([]*pool.Buffer{shared})
	checkLive(t, p, 0)

	// Each pool must have got its own buffers back.
	for range 3 {
		if b := p.Get(); len(b.Bytes()) != 64 {
			t.Error("a buffer went to the wrong pool")
		}
		if b := q.Get(); len(b.Bytes()) != 128 {
			t.Error("a buffer went to the wrong pool")
		}
	}
	if a, b := p.Stats().Allocs, q.Stats().Allocs; a != 3 || b != 3 {
		t.Errorf("%d and %d allocated, want 3 and 3", a, b)
	}
}

func TestReferences(t *testing.T) {
	p := pool.New(64, 0)
	b := p.Get()
	if b.Retain() != b {
		t.Error("Retain returned another buffer")
	}
	b.Release()
	checkLive(t, p, 1)
	b.Release()
	checkLive(t, p, 0)
	mustPanic(t, "Release of a released buffer", b.Release)
	checkLive(t, p, 0)
	mustPanic(t, "Retain of a released buffer", func() { b.Retain() })
	mustPanic(t, "Release of a released buffer", func() {
		pool.ReleaseBatch([]*pool.Buffer{nil, released(p), p.Get()})
	})
}

func released(p *pool.Pool) *pool.Buffer {
	b := p.Get()
	b.Release()
	return b
}

// checkWindow checks the length of the window of b, a buffer of 130 bytes, its
// headroom, and its first byte unless it is empty.
func checkWindow(t *testing.T, b *pool.Buffer, n, headroom int, first byte) {
	t.Helper()
	w := b.Bytes()
	if len(w) != n || b.Headroom() != headroom || cap(w) != 130-headroom {
		t.Errorf("window of %d, capacity %d, headroom %d; want %d, %d, %d",
			len(w), cap(w), b.Headroom(), n, 130-headroom, headroom)
	}
	if len(w) > 0 && w[0] != first {
		t.Errorf("window begins with %d, want %d", w[0], first)
	}
}

func TestWindow(t *testing.T) {
	p := pool.New(100, 30)
	b := p.Get()
	for i := range b.Bytes() {
		b.Bytes()[i] = byte(i)
	}
	checkWindow(t, b, 100, 30, 0)
	b.SetLen(40)
	checkWindow(t, b, 40, 30, 0)
	b.TrimFront(14)
	checkWindow(t, b, 26, 44, 14)
	h := b.Prepend(4)
	if len(h) != 4 || cap(h) != 4 || &h[0] != &b.Bytes()[0] {
		t.Errorf("Prepend returned %d bytes, capacity %d", len(h), cap(h))
	}
	checkWindow(t, b, 30, 40, 10)
	b.Prepend(40)[0] = 77
	checkWindow(t, b, 70, 0, 77)
	b.SetLen(130)
	checkWindow(t, b, 130, 0, 77)
	b.SetLen(0)
	checkWindow(t, b, 0, 0, 0)
	b.Reset()
	checkWindow(t, b, 100, 30, 0)
	b.TrimFront(100)
	checkWindow(t, b, 0, 130, 0)
	b.SetLen(0)
	if len(b.Prepend(0)) != 0 {
		t.Error("Prepend(0) returned bytes")
	}
	b.TrimFront(0)
	checkWindow(t, b, 0, 130, 0)
	mustPanic(t, "SetLen", func() { b.SetLen(1) })

	// Building with append, as AppendHeader does, stays in the buffer.
	b.Reset()
	b.SetLen(0)
	w := append(b.Bytes(), "hello"...)
	b.SetLen(len(w))
	if string(b.Bytes()) != "hello" {
		t.Errorf("after append: %q", b.Bytes())
	}
	b.Release()
	checkLive(t, p, 0)
}

// TestWindowBounds checks that calls which would leave the buffer panic and change
// nothing.
func TestWindowBounds(t *testing.T) {
	p := pool.New(100, 30)
	b := p.Get()
	b.Bytes()[0] = 5
	for _, n := range []int{101, -1, math.MaxInt, math.MinInt} {
		mustPanic(t, "SetLen", func() { b.SetLen(n) })
	}
	for _, n := range []int{31, -1} {
		mustPanic(t, "Prepend", func() { b.Prepend(n) })
	}
	for _, n := range []int{101, -1} {
		mustPanic(t, "TrimFront", func() { b.TrimFront(n) })
	}
	checkWindow(t, b, 100, 30, 5)
	b.Release()
	checkLive(t, p, 0)
}

func TestWindows(t *testing.T) {
	p := pool.New(100, 30)
	bs := make([]*pool.Buffer, 3)
	p.GetBatch(bs)
	for _, b := range bs {
		b.TrimFront(7)
		b.SetLen(9)
	}
	dst := make([][]byte, 0, 4)
	w := pool.Windows(dst, bs)
	if len(w) != 3 || cap(w) != 4 || &w[0] != &dst[:1][0] {
		t.Fatalf("%d windows, capacity %d; want dst[:3]", len(w), cap(w))
	}
	for i, b := range bs {
		if len(w[i]) != 100 || &w[i][0] != &b.Bytes()[0] || b.Headroom() != 30 {
			t.Errorf("window %d is not the buffer's full window", i)
		}
	}
	if w := pool.Windows(make([][]byte, 5), bs); len(w) != 3 {
		t.Errorf("%d windows of 3 buffers", len(w))
	}
	if w := pool.Windows(nil, nil); len(w) != 0 {
		t.Errorf("%d windows of no buffers", len(w))
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic for a dst without the capacity")
			}
		}()
		pool.Windows(make([][]byte, 2), bs)
	}()
	pool.ReleaseBatch(bs)
	checkLive(t, p, 0)
}

// TestOverflow takes more buffers than the pool keeps to itself.
func TestOverflow(t *testing.T) {
	p := pool.New(256<<10, 0)
	for range 3 {
		bs := make([]*pool.Buffer, 100)
		p.GetBatch(bs)
		for _, b := range bs[:50] {
			b.Release()
		}
		pool.ReleaseBatch(bs[50:])
		checkLive(t, p, 0)
	}
	// How many were allocated depends on the garbage collector, but the list of
	// 64 is certain.
	if s := p.Stats(); s.Gets != 300 || s.Allocs > 100+2*36 {
		t.Errorf("%+v, want 300 gets and at most 172 allocations", s)
	}
}
