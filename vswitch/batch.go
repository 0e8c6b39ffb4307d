// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
)

// maxBatch is the number of frames forwarded together.
const maxBatch = 64

// An item is one frame of a batch.
type item struct {
	data []byte // the frame as it came; lent, or the bytes of home or buf

	// home is the buffer that data was read into, which its reader wants back.
	// When the frame is handed on in it, home becomes nil and the buffer is buf.
	home *pool.Buffer

	// buf, if not nil, holds data in a buffer of which the batch has one
	// reference; alt holds the other form of the frame, with a tag added or
	// removed, once that was needed.
	buf, alt *pool.Buffer

	size   int              // the frame's own length; more than len(data) if its end was cut
	vlan   uint16           // once classified
	tagged bool             // data has a tag
	way    way              // once classified
	cause  dropCause        // why, if way is wayDrop
	part   part             // once settled: what it has to do with a frame that is cut
	off    frame.VNetHeader // what was left undone about data; zero of an ordinary frame
	to     *port            // where, if way is wayPort
}

// A way is what to do with a frame.
type way uint8

const (
	wayDrop  way = iota
	wayPort      // to the one port that its destination is behind
	wayFlood     // to all ports of its VLAN
	wayHub       // to all ports, as it is
)

// A batch is what one forwarding goroutine works on, and its scratch memory.
type batch struct {
	sw *Switch
	in *port

	// How to wait for room:
	mode    waitMode
	exact   bool            // the sender wants to know how many frames were taken
	done    <-chan struct{} // closed when the sender ends
	expired <-chan struct{} // closed when the sender's time is over; may be nil
	waited  time.Duration   // so far, for the whole batch
	relieve func()          // called once, before it waits; may be nil

	items  [maxBatch]item
	n      int
	now    int64 // table time
	keeper int   // a home with a frame of so many bytes is handed on with it
	undone bool  // some of the items may be undone

	mirrors []*mirror // of in, as they were when forwarding began
	tally   tally

	heads     *heads     // nil until needed
	expansion *expansion // nil until needed

	group [maxBatch]uint8            // items to deliver together
	sub   [maxBatch]uint8            // those of them that a port gets
	dues  [maxBatch]uint8            // those of them that a cable gets; see due
	views [maxBatch][]byte           // their bytes
	refs  [maxBatch]*pool.Buffer     // their buffers
	old   [2 * maxBatch]*pool.Buffer // buffers to release
	timer *time.Timer

	slab     []byte // of frames that were copied out of a ring; nil until there were any
	slabUsed int
}

// A waitMode says how a batch treats full queues under the policy WaitForRoom.
type waitMode uint8

const (
	waitBounded waitMode = iota
	waitTry              // stop with link.ErrFull
)

// A tally is what a batch adds to the counters of the port it comes from.
type tally struct {
	frames, bytes, forwarded, flooded, copies uint64
	split, splitInto                          uint64
	dropped                                   [numInCauses]uint64
}

// newBatch returns an empty batch for frames that come from in. Its memory is
// kept in the switch between batches: an idle port needs none. (One pool for all
// switches would carry timers into and out of synctest's bubbles.)
func newBatch(in *port) *batch {
	b, ok := in.sw.batches.Get().(*batch)
	if !ok {
		b = new(batch)
	}
	b.sw, b.in = in.sw, in
	b.mode, b.exact, b.done, b.expired, b.waited, b.n = waitBounded, false, nil, nil, 0, 0
	b.keeper, b.undone, b.relieve = smallBuffer+1, false, nil
	return b
}

// free gives b back. Buffers that its items still hold are released, homes left
// to their owner.
func (b *batch) free() {
	b.clear()
	sw := b.sw
	b.sw, b.in, b.done, b.expired, b.mirrors, b.relieve = nil, nil, nil, nil, nil, nil
	sw.batches.Put(b)
}

// clear releases what the items hold and empties the batch.
func (b *batch) clear() {
	old := b.old[:0]
	for i := range b.items[:b.n] {
		it := &b.items[i]
		if it.buf != nil {
			old = append(old, it.buf)
		}
		if it.alt != nil {
			old = append(old, it.alt)
		}
		*it = item{}
	}
	if len(old) > 0 {
		pool.ReleaseBatch(old)
	}
	b.n = 0
}

// add appends a frame whose bytes are lent.
func (b *batch) add(data []byte) {
	it := &b.items[b.n]
	it.data, it.size = data, len(data)
	b.n++
}

// flush adds the tally to the counters; sw.forwarding is held for reading.
func (b *batch) flush() {
	t, in := &b.tally, &b.in.in
	if t.frames == 0 && t.copies == 0 {
		return
	}
	in.frames.Add(t.frames)
	in.bytes.Add(t.bytes)
	if t.forwarded > 0 {
		in.forwarded.Add(t.forwarded)
	}
	if t.flooded > 0 {
		in.flooded.Add(t.flooded)
	}
	if t.copies > 0 {
		in.copies.Add(t.copies)
	}
	if t.splitInto > 0 {
		in.split.Add(t.split)
		in.splitInto.Add(t.splitInto)
	}
	if t.forwarded < t.frames {
		for i, n := range t.dropped {
			if n > 0 {
				in.dropped[i].Add(n)
			}
		}
	}
	*t = tally{}
}

// wait waits for room at c, with the counters settled and nobody held up.
func (b *batch) wait(c *cable, left time.Duration) waitResult {
	b.flush()
	b.sw.forwarding.RUnlock()
	if b.relieve != nil {
		b.relieve()
		b.relieve = nil
	}
	start := time.Now()
	r := c.out.await(b, left)
	b.waited += time.Since(start)
	b.sw.forwarding.RLock()
	return r
}

// alarm returns a channel that receives after d, or nil for Forever; silence
// must be called afterwards.
func (b *batch) alarm(d time.Duration) <-chan time.Time {
	if d == Forever {
		return nil
	}
	if b.timer == nil {
		b.timer = time.NewTimer(d)
	} else {
		b.timer.Reset(d)
	}
	return b.timer.C
}

func (b *batch) silence() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// inAlt reports whether the form of it that is wanted differs from the one that
// came: as, if not nil, is the configuration of the port that it is to leave by,
// which decides about the tag.
func (it *item) inAlt(as *portConf) bool {
	return as != nil && it.tagged != (it.vlan != as.VLAN)
}

// form returns the bytes of item i in the form wanted; see inAlt.
func (b *batch) form(i uint8, as *portConf) []byte {
	it := &b.items[i]
	if !it.inAlt(as) {
		return it.data
	}
	return b.other(it).Bytes()
}

// other returns a frame with its tag removed, or with one if it had none.
func (b *batch) other(it *item) *pool.Buffer {
	if it.alt == nil {
		it.alt = b.sw.poolFor(len(it.data) + frame.TagLen).Get()
		if it.tagged {
			it.alt.SetLen(putUntagged(it.alt.Bytes(), it.data))
		} else {
			it.alt.SetLen(putTagged(it.alt.Bytes(), it.data, it.vlan))
		}
	}
	return it.alt
}

// keep makes sure that the items are in buffers in the form wanted, so that ref
// can be called.
func (b *batch) keep(items []uint8, as *portConf) {
	for k := 0; k < len(items); {
		it := &b.items[items[k]]
		switch {
		case it.inAlt(as):
			b.other(it)
			k++
		case it.buf != nil:
			k++
		case it.home != nil && len(it.data) >= b.keeper:
			it.buf, it.home = it.home, nil
			it.buf.SetLen(len(it.data))
			k++
		default:
			k += b.copyRun(items[k:], as)
		}
	}
}

// copyRun copies the first of items, and those after it for which the same is
// to be done, to buffers from one pool; it returns how many. A short frame that
// was read into a large buffer is among them: copying it costs less than to let
// it have the large one.
func (b *batch) copyRun(items []uint8, as *portConf) int {
	p := b.sw.poolFor(len(b.items[items[0]].data))
	n := 1
	for ; n < len(items); n++ {
		it := &b.items[items[n]]
		if it.inAlt(as) || it.buf != nil || it.home != nil && len(it.data) >= b.keeper || b.sw.poolFor(len(it.data)) != p {
			break
		}
	}
	refs := b.refs[:n]
	p.GetBatch(refs)
	for j, buf := range refs {
		it := &b.items[items[j]]
		buf.SetLen(copy(buf.Bytes(), it.data))
		it.buf = buf
	}
	clear(refs)
	return n
}

// ref returns a reference to item i, which was kept, in the form wanted. With
// give it is the batch's own.
func (b *batch) ref(i uint8, as *portConf, give bool) *pool.Buffer {
	it := &b.items[i]
	buf := &it.buf
	if it.inAlt(as) {
		buf = &it.alt
	}
	if !give {
		return (*buf).Retain()
	}
	r := *buf
	*buf = nil
	return r
}
