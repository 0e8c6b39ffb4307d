// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"fmt"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// closedBit in a tail says that no further frame is taken. The consumer sets it; the
// producer publishes by compare-and-swap and so cannot publish after it.
const closedBit = 1 << 63

// A ring is what both sides share of one. Positions count bytes since the
// beginning and never wrap; a ring that passes 10 GB a second lasts 29 years.
//
// A side that stores to one of these words and then looks at another, to decide
// whether to sleep or to ring, uses Swap in place of Store. Either orders the two,
// but under the race detector a Store to memory that is not Go's can become
// visible after the look: both sides then miss what the other one did, and sleep.
type ring struct {
	tail, head  *atomic.Uint64
	frameWakeup *atomic.Uint32 // need-wakeup flag of the consumer
	roomWakeup  *atomic.Uint32 // need-wakeup flag of the producer
	data        []byte
	mask        uint64
}

func newRing(region []byte, control, data, size int) ring {
	return ring{
		tail: word64(region, control+tailAt), head: word64(region, control+headAt),
		frameWakeup: word32(region, control+frameWakeupAt), roomWakeup: word32(region, control+roomWakeupAt),
		data: region[data : data+size : data+size], mask: uint64(size - 1),
	}
}

func (r *ring) size() uint64 { return uint64(len(r.data)) }

// maxLen is the longest frame a ring holds; see slotLen.
func (r *ring) maxLen() int { return len(r.data)/2 - slotHeader }

// A producer puts frames into a ring. It is used by one goroutine at a time.
type producer struct {
	ring
	from uint64 // published up to here; ours, the tail in the region is only a copy
	pos  uint64 // written up to here
	head uint64 // taken up to here, as last seen
}

// room reports whether a frame of n bytes fits.
func (p *producer) room(n int) (bool, error) {
	need := slotLen(n)
	if p.pos+need-p.head <= p.size() {
		return true, nil
	}
	if err := p.refresh(); err != nil {
		return false, err
	}
	return p.pos+need-p.head <= p.size(), nil
}

// refresh reads up to where the consumer has taken.
func (p *producer) refresh() error {
	h := p.ring.head.Load()
	// It lies between where it was and what was published.
	if h-p.head > p.from-p.head {
		return fmt.Errorf("%w: it took up to %d of what was published from %d to %d", link.ErrViolation, h, p.head, p.from)
	}
	p.head = h
	return nil
}

// put writes frame i of t, of n bytes, for which there is room.
func (p *producer) put(t *link.Tx, i, n int) {
	p.begin(n, t.Header(i))
	at := p.pos + slotHeader
	if t.Pieces == nil {
		p.write(at, t.Frames[i])
	} else {
		for _, b := range t.Pieces[i] {
			p.write(at, b)
			at += uint64(len(b))
		}
	}
	p.pos += slotLen(n)
}

// begin writes the header of a slot for a frame of n bytes, for which there is
// room. The caller writes the frame behind it and then advances pos. Slots are a
// multiple of 16 long, and so is the ring, so a header never wraps.
func (p *producer) begin(n int, h frame.VNetHeader) {
	w0, w1 := packSlot(n, h)
	at := int(p.pos & p.mask)
	// Plain stores would be enough, as the tail publishes them. Atomic ones cost
	// little more: the cache line has to be fetched anyway.
	word64(p.data, at).Store(w0)
	word64(p.data, at+8).Store(w1)
}

// write copies b to position at.
func (p *producer) write(at uint64, b []byte) {
	n := copy(p.data[at&p.mask:], b)
	copy(p.data, b[n:])
}

// publish makes the frames visible that were put, and reports false if the consumer
// has closed the ring, in which case none of them ever will be.
func (p *producer) publish() (ok bool, err error) {
	if p.tail.CompareAndSwap(p.from, p.pos) {
		p.from = p.pos
		return true, nil
	}
	p.pos = p.from
	if t := p.tail.Load(); t != p.from|closedBit {
		return false, fmt.Errorf("%w: the tail became %#x, it was %#x", link.ErrViolation, t, p.from)
	}
	return false, nil
}

// halfFree reports whether half the ring is free, which a producer waits for: to be
// woken for each frame would have the two sides take turns.
func (p *producer) halfFree() (bool, error) {
	err := p.refresh()
	return p.pos-p.head <= p.size()/2, err
}

// A consumer takes frames from a ring. It is used by one goroutine at a time.
type consumer struct {
	ring
	from uint64 // given back up to here; ours
	pos  uint64 // taken up to here
	end  uint64 // published up to here, as last seen
}

// ready reports whether there is a frame.
func (c *consumer) ready() (bool, error) {
	if c.pos != c.end {
		return true, nil
	}
	t := c.tail.Load() &^ closedBit // the producer may have set it too: see close
	if t == c.end {
		return false, nil
	}
	if t-c.from > c.size() || t-c.end > c.size() || t%slotAlign != 0 {
		return false, fmt.Errorf("%w: it published up to %d, %d was published and %d taken", link.ErrViolation, t, c.end, c.from)
	}
	c.end = t
	return true, nil
}

// next returns the length of the frame at pos and its metadata, which is unchecked;
// ready has reported that there is a frame.
func (c *consumer) next() (n int, h frame.VNetHeader, err error) {
	at := int(c.pos & c.mask)
	size, h := unpackSlot(word64(c.data, at).Load(), word64(c.data, at+8).Load())
	if uint64(size) > c.size() || slotLen(int(size)) > c.end-c.pos {
		return 0, h, fmt.Errorf("%w: a frame of %d bytes where %d are published", link.ErrViolation, size, c.end-c.pos)
	}
	return int(size), h, nil
}

// take copies as much of the frame at pos, which has n bytes, as dst holds, and
// advances to the next.
func (c *consumer) take(dst []byte, n int) {
	at := (c.pos + slotHeader) & c.mask
	dst = dst[:min(len(dst), n)]
	k := copy(dst, c.data[at:])
	copy(dst[k:], c.data)
	c.pos += slotLen(n)
}

// release gives back the room of the frames that were taken, and reports whether
// there is enough for a producer that waits for it.
func (c *consumer) release() (enough bool) {
	c.from = c.pos
	c.head.Swap(c.pos) // before a look at roomWakeup
	return c.end-c.pos <= c.size()/2
}

// close refuses all frames that are published from here on, and returns how many
// had been published and not taken. An invalid tail or length ends the count.
func (c *consumer) close() (unread int) {
	c.tail.Or(closedBit)
	for {
		ok, err := c.ready()
		if !ok || err != nil {
			return unread
		}
		n, _, err := c.next()
		if err != nil {
			return unread
		}
		c.take(nil, n)
		unread++
	}
}
