// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"math"
	"sync"
	"sync/atomic"
)

const (
	keepBytes = 4 << 20 // memory in free buffers that a Pool keeps for itself
	keepMin   = 64      // buffers it keeps in any case: two batches of 32
)

// A Pool hands out buffers of one size. It is safe for concurrent use and must
// not be copied. The zero Pool is not usable; call [New].
type Pool struct {
	size, headroom int // of each buffer, in bytes
	keep           int // most buffers in free

	// The fields above never change and are read with every buffer. Keep them off
	// the cache line that the lock bounces between processors.
	_ [cacheLine]byte

	mu       sync.Mutex
	free     []*Buffer // guarded by mu; a stack of buffers without references
	gets     uint64    // guarded by mu
	releases uint64    // guarded by mu

	overflow sync.Pool // of *Buffer: those that free had no room for
	allocs   atomic.Uint64
	tracker  tracker
}

// cacheLine is the distance in bytes that keeps two fields from sharing a
// line, with room for processors that fetch lines in pairs.
const cacheLine = 128

// New returns a pool of buffers with room for size bytes after headroom bytes.
// It allocates no buffers yet. It panics if size is less than 1, if headroom
// is negative, or if their sum overflows.
func New(size, headroom int) *Pool {
	switch {
	case size < 1:
		panic("pool: New with a size less than 1")
	case headroom < 0:
		panic("pool: New with negative headroom")
	case size > math.MaxInt-headroom:
		panic("pool: New with a size and headroom that overflow")
	}
	return &Pool{
		size:     size,
		headroom: headroom,
		keep:     max(keepMin, keepBytes/(size+headroom)),
	}
}

// Get returns a buffer holding one reference, its window the full size; the
// contents are undefined. The reference is the caller's, which must
// [Buffer.Release] it. Get never waits: without a free buffer it allocates
// one.
func (p *Pool) Get() *Buffer {
	var b *Buffer
	p.mu.Lock()
	if last := len(p.free) - 1; last >= 0 {
		b = p.free[last]
		p.free[last] = nil
		p.free = p.free[:last]
	}
	p.gets++
	p.mu.Unlock()
	if b == nil {
		b = p.more()
	}
	b.refs.Store(1)
	p.tracker.lent(b)
	return b
}

// GetBatch fills bs, reusing the elements that are already non-nil.
//
// Each nil element is set to a buffer as from [Pool.Get], for less than as
// many calls of Get cost. Each other element stays, with the reference that
// the caller holds, and its window is reset; this suits a reader that asked
// for many frames, received few and passed those on. GetBatch panics if such a
// buffer has no reference or several, or belongs to another pool.
func (p *Pool) GetBatch(bs []*Buffer) {
	need := 0
	for _, b := range bs {
		if b == nil {
			need++
		} else {
			b.reuse(p)
		}
	}
	if need == 0 {
		return
	}

	p.mu.Lock()
	rest := len(p.free) - min(need, len(p.free))
	taken := p.free[rest:]
	if need == len(bs) {
		copy(bs, taken)
	} else {
		for i, j := 0, 0; j < len(taken); i++ {
			if bs[i] == nil {
				bs[i] = taken[j]
				j++
			}
		}
	}
	clear(taken)
	p.free = p.free[:rest]
	p.gets += uint64(need)
	p.mu.Unlock()

	for i, b := range bs {
		if b == nil {
			b = p.more()
			bs[i] = b
		}
		if b.refs.Load() != 1 { // not one that stayed
			b.refs.Store(1)
			p.tracker.lent(b)
		}
	}
}

// more returns a buffer without references from outside the free list.
func (p *Pool) more() *Buffer {
	if b, ok := p.overflow.Get().(*Buffer); ok {
		return b
	}
	p.allocs.Add(1)
	// The memory is an object of its own, free of pointers, so the garbage
	// collector does not scan it, and one buffer that is held for long does not
	// keep its neighbors' memory alive as it would in a slab.
	b := &Buffer{pool: p, mem: make([]byte, p.headroom+p.size)}
	b.reset()
	return b
}

// putOne takes back a buffer whose last reference was dropped.
func (p *Pool) putOne(b *Buffer) {
	p.mu.Lock()
	p.releases++
	room := len(p.free) < p.keep
	if room {
		p.free = append(p.free, b)
	}
	p.mu.Unlock()
	if !room {
		p.overflow.Put(b)
	}
}

// putBatch is putOne for several buffers of p.
func (p *Pool) putBatch(bs []*Buffer) {
	p.mu.Lock()
	p.releases += uint64(len(bs))
	n := min(len(bs), p.keep-len(p.free))
	p.free = append(p.free, bs[:n]...)
	p.mu.Unlock()
	for _, b := range bs[n:] {
		p.overflow.Put(b)
	}
}

// ReleaseBatch drops one reference to each buffer, as [Buffer.Release] does,
// and sets the elements to nil. It skips elements that are nil and accepts
// buffers of several pools; runs of buffers of one pool cost less than as many
// calls of Release.
func ReleaseBatch(bs []*Buffer) {
	n := 0 // bs[:n] have lost their last reference and belong to one pool
	for _, b := range bs {
		if b == nil || !b.drop() {
			continue
		}
		if n > 0 && b.pool != bs[0].pool {
			bs[0].pool.putBatch(bs[:n])
			n = 0
		}
		bs[n] = b
		n++
	}
	if n > 0 {
		bs[0].pool.putBatch(bs[:n])
	}
	clear(bs)
}

// Windows resets each buffer and stores its window in dst, ready for
// ReadBatch; it returns dst[:len(bs)]. The windows are lent: dst must not be
// used for reading once the buffers are released. As with any change of a
// window, the caller must hold the only reference to each buffer. It panics if
// dst has not the capacity, or if an element of bs is nil.
func Windows(dst [][]byte, bs []*Buffer) [][]byte {
	dst = dst[:len(bs)]
	for i, b := range bs {
		b.Reset()
		dst[i] = b.Bytes()
	}
	return dst
}

// Stats describes a pool; Live returns to zero when every buffer has been
// released. All counters are cumulative since [New]; Live is the difference of
// the first two.
type Stats struct {
	Gets     uint64 // buffers handed out by Get, and by GetBatch into nil elements
	Releases uint64 // buffers that came back with their last reference dropped
	Allocs   uint64 // buffers allocated because none was free
	Live     int64  // buffers handed out and not yet back
}

// Stats returns usage counters. Gets, Releases and Live are of one moment; a
// batch counts as a whole.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	s := Stats{Gets: p.gets, Releases: p.releases}
	p.mu.Unlock()
	s.Allocs = p.allocs.Load()
	s.Live = int64(s.Gets - s.Releases)
	return s
}

// Leaks returns, in leak mode, one entry per live buffer, sorted: the file:line
// that called the [Pool.Get] or [Pool.GetBatch] that handed it out and, if
// [AddOwner] was called, who holds it. Without the build tag poolleak it returns
// nil; [Stats].Live counts in both modes.
func (p *Pool) Leaks() []string { return p.tracker.leaks() }

// AddOwner tells leak mode that owner, such as the name of a connection, now has
// one of the references to each of bs, for [Pool.Leaks]; elements that are nil are
// skipped. Call it where code that takes buffers gives them to somebody else, who
// has to release them: the place that took them does not say who that is.
//
// Releasing a reference does not tell whose it was. So the owner of the only
// reference takes the place of all earlier ones, and one of several is added to
// them; where more owners are known than there are references, Leaks says so. An
// empty owner is nobody.
//
// Without the build tag poolleak it does nothing. Where even the making of owner
// costs too much, call it only if [LeakMode].
func AddOwner(owner string, bs ...*Buffer) {
	if !LeakMode {
		return
	}
	for _, b := range bs {
		if b != nil {
			b.addOwner(owner)
		}
	}
}

// RemoveOwner undoes one call of [AddOwner] with the same owner, which is about to
// give its references to each of bs to somebody else.
func RemoveOwner(owner string, bs ...*Buffer) {
	if !LeakMode {
		return
	}
	for _, b := range bs {
		if b != nil {
			b.removeOwner(owner)
		}
	}
}
