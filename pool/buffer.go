// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package pool

import "sync/atomic"

// A Buffer is a window onto pooled memory. It must not be copied, nor used
// after its last Release.
//
// Only [Buffer.Retain] and [Buffer.Release] may be called by several
// goroutines at once, each holding a reference. Everything that moves the
// window or writes to memory requires holding the only reference.
type Buffer struct {
	// 49 to 64 bytes are allocated as one cache line on 64-bit processors, so
	// buffers held by different processors do not contend for their counts.
	trace trace // nothing, except in leak mode

	refs atomic.Int32 // 0 while free
	pool *Pool
	mem  []byte // headroom and room for the pool's size, whole
	off  int    // the window is mem[off : off+n]
	n    int
}

// Bytes returns the window; writing to it requires holding the only reference.
// The slice is lent until the reference is released. Its capacity extends to
// the end of the buffer, so append builds in place; [Buffer.SetLen] then takes
// the bytes into the window.
func (b *Buffer) Bytes() []byte {
	b.mustLive()
	return b.mem[b.off : b.off+b.n]
}

// Reset restores the full window behind the pool's headroom. It does not touch
// the contents.
func (b *Buffer) Reset() {
	b.mustLive()
	b.reset()
}

func (b *Buffer) reset() {
	b.off, b.n = b.pool.headroom, b.pool.size
}

// SetLen sets the window's length to n bytes, panicking beyond the buffer's
// end. The front stays; bytes by which the window grows are those that were
// there.
func (b *Buffer) SetLen(n int) {
	b.mustLive()
	if n < 0 || n > len(b.mem)-b.off {
		panic("pool: SetLen beyond the buffer's end")
	}
	b.n = n
}

// Prepend grows the window by n bytes at the front and returns them, panicking
// if headroom is short. Their contents are undefined, and they are lent like
// [Buffer.Bytes].
func (b *Buffer) Prepend(n int) []byte {
	b.mustLive()
	if n < 0 || n > b.off {
		panic("pool: Prepend of more bytes than there is headroom")
	}
	b.off -= n
	b.n += n
	return b.mem[b.off : b.off+n : b.off+n]
}

// TrimFront drops n bytes from the front; they become headroom. It panics if
// the window is shorter than n.
func (b *Buffer) TrimFront(n int) {
	b.mustLive()
	if n < 0 || n > b.n {
		panic("pool: TrimFront of more bytes than there are")
	}
	b.off += n
	b.n -= n
}

// Headroom returns how many bytes Prepend can still give.
func (b *Buffer) Headroom() int {
	b.mustLive()
	return b.off
}

// Retain adds a reference and returns b. The caller must hold a reference;
// Retain panics if there is none at all.
func (b *Buffer) Retain() *Buffer {
	if b.refs.Add(1) <= 1 {
		panic("pool: Retain of a released buffer")
	}
	return b
}

// Release drops a reference; the last one returns b to its pool. It panics if
// there is none to drop. Afterwards the caller must not use b, nor any slice
// of it.
func (b *Buffer) Release() {
	if b.drop() {
		b.pool.putOne(b)
	}
}

// drop drops a reference and reports whether it was the last. If so, b has
// been made ready for its pool and the caller must put it there.
func (b *Buffer) drop() bool {
	switch n := b.refs.Add(-1); {
	case n > 0:
		return false
	case n < 0:
		panic("pool: Release of a released buffer")
	}
	b.reset()
	b.pool.tracker.returned(b)
	return true
}

// reuse resets a buffer that stays in a batch.
func (b *Buffer) reuse(p *Pool) {
	switch n := b.refs.Load(); {
	case n < 1:
		panic("pool: GetBatch given a released buffer")
	case n > 1:
		panic("pool: GetBatch given a shared buffer")
	case b.pool != p:
		panic("pool: GetBatch given a buffer of another pool")
	}
	b.reset()
}
