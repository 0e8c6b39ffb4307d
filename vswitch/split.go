// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"github.com/go-vde/sdk/internal/gso"
)

// A part says what an item has to do with a frame that is cut.
type part uint8

const (
	partNone  part = iota
	partWhole      // the frame, which is to be cut
	partFirst      // the first segment
	partNext       // another one
)

// An expansion is what cutting frames needs besides the batch. What a batch
// becomes may be more than fits into one, so it is forwarded in rounds: in each,
// the batch's own items are the next segments and frames in order, and the items
// that came are here.
type expansion struct {
	items [maxBatch]item
	from  [maxBatch]uint8 // of the round's items: which of items it is, or was cut from
	n     int             // how many items there are
	next  int             // how many of them have been in a round to their end
	begun bool            // cut is at work on items[next]
	cut   gso.Segmenter
}

// forwardSplit is forwardItems for a batch with frames that settle has marked. It
// returns how many of the items that came were dealt with; their homes are where
// they were.
//
// A frame that is cut has been dealt with when all its segments have been. If b
// is exact, a frame whose first segment was not taken was not taken; once it was,
// the others are no reason to stop: those that do not fit are dropped, and
// counted, where they should have gone. So a sender that continues behind what
// was taken sends nothing twice.
func (b *batch) forwardSplit() (n int, err error) {
	if b.expansion == nil {
		b.expansion = new(expansion)
	}
	x := b.expansion
	x.n, x.next, x.begun = b.n, 0, false
	copy(x.items[:], b.items[:b.n])
	clear(b.items[:b.n])
	b.n = 0
	for x.next < x.n && err == nil {
		b.fill(x)
		n, err = b.forwardItems()
		if n < b.n {
			n = int(x.from[n])
		} else {
			n = x.next
		}
		b.emptyTo(x)
	}
	b.n = x.n
	copy(b.items[:], x.items[:x.n])
	clear(x.items[:x.n])
	x.cut = gso.Segmenter{} // what it was lent goes back
	return n, err
}

// fill makes the next round of b's items, which are none.
func (b *batch) fill(x *expansion) {
	for x.next < x.n && b.n < maxBatch {
		whole := &x.items[x.next]
		it := &b.items[b.n]
		if whole.part != partWhole {
			*it = *whole
			x.from[b.n] = uint8(x.next)
			b.n++
			x.next++
			continue
		}
		first := !x.begun
		if first {
			x.cut.Reset(whole.off, whole.data)
			x.begun = true
		}
		buf := b.sw.poolFor(gso.Longest(whole.off, len(whole.data))).Get()
		size, ok := x.cut.Next(buf.Bytes())
		if !ok {
			buf.Release()
			x.begun = false
			x.next++
			continue
		}
		buf.SetLen(size)
		*it = item{
			data: buf.Bytes(), buf: buf, size: size,
			vlan: whole.vlan, tagged: whole.tagged,
			way: whole.way, cause: whole.cause, to: whole.to, part: partNext,
		}
		if first {
			it.part = partFirst
		}
		x.from[b.n] = uint8(x.next)
		b.n++
	}
}

// emptyTo puts the round's items back where they came from, and releases the
// segments.
func (b *batch) emptyTo(x *expansion) {
	for i := range b.items[:b.n] {
		if it := &b.items[i]; it.part == partNone {
			x.items[x.from[i]] = *it
			*it = item{}
		}
	}
	b.clear()
}

// begun returns how many of items, from the first on, continue a frame whose
// first segments have been dealt with.
func (b *batch) begun(items []uint8) (n int) {
	for n < len(items) && b.items[items[n]].part == partNext {
		n++
	}
	return n
}
