// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
)

// maxBatch is the number of frames forwarded together.
const maxBatch = 64

// An item is one frame of a batch.
type item struct {
	data []byte // the frame as it came; lent, or the bytes of recvBuf or buf

	// recvBuf is the buffer that data was received in, which the receiver wants
	// back. When the frame is handed on in it, recvBuf becomes nil and the buffer
	// is buf.
	recvBuf *pool.Buffer

	// buf, if not nil, holds data in a buffer of which the batch has one
	// reference; alt holds the other form of the frame, with a tag added or
	// removed, once that was needed.
	buf, alt *pool.Buffer

	size    int              // the frame's own length; more than len(data) if its end was cut off
	header  frame.VNetHeader // the metadata of data; zero of an ordinary frame
	vlan    uint16           // once classified
	tagged  bool             // data has a tag
	retag   bool             // that is a priority tag; vlan is to be put there
	verdict verdict          // once classified
	cause   dropCause        // why, if verdict is verdictDrop
	segment segmentKind      // once resolved
	to      *port            // where, if verdict is verdictPort

	// Of a frame that was impaired: that an impairment has made it, and that buf has
	// the bytes of another frame too.
	duplicate, shared bool
}

// A verdict is what to do with a frame.
type verdict uint8

const (
	verdictDrop  verdict = iota
	verdictPort          // to the one port that leads to its destination
	verdictFlood         // to all ports of its VLAN
	verdictHub           // to all ports, as it is
)

// inAlt reports whether the form of it that is wanted differs from the one that
// came: as, if not nil, is the configuration of the port that it is to leave by,
// which decides about the tag.
func (it *item) inAlt(as *portConf) bool {
	return as != nil && it.tagged != (it.vlan != as.VLAN)
}

// keepsBuffer reports whether it can be handed on in the buffer that it was
// received in. For a short frame in a large buffer that would be a waste: copying
// it costs less than to let it have the buffer.
func (b *batch) keepsBuffer(it *item) bool { return it.recvBuf != nil && len(it.data) >= b.copyBreak }

// isWhole reports whether it is a whole frame, and what it claims to be.
func (it *item) isWhole() bool {
	switch {
	case it.size < frame.HeaderLen || it.size > len(it.data):
		return false
	case it.verdict == verdictDrop && (it.cause == inGiant || it.cause == inOffload || it.cause == inSegments):
		return false
	}
	return true
}

// A batch is frames that are forwarded together, in their forms: as they came,
// and with the tag added or removed.
type batch struct {
	buffers   *bufferPools
	copyBreak int // a frame of so many bytes is handed on in the buffer that it was received in

	items [maxBatch]item
	n     int

	probe    bool // it is a probe of the switch, which passes where ports are blocked
	metadata bool // some of the headers are not zero
	partial  bool // some of the frames may be partial

	slab     []byte // holds frames that were copied out of a ring; nil until there were any
	slabUsed int
	placed   int // items that Place has filled in

	// Scratch memory, clear between uses.
	refs    [maxBatch]*pool.Buffer
	old     [2 * maxBatch]*pool.Buffer
	views   [maxBatch][]byte
	headers [maxBatch]frame.VNetHeader
}

// reset makes b an empty batch.
func (b *batch) reset() {
	b.n, b.copyBreak = 0, smallBuffer+1
	b.metadata, b.partial, b.probe = false, false, false
}

// add appends a frame whose bytes are lent.
func (b *batch) add(data []byte) *item {
	it := &b.items[b.n]
	it.data, it.size = data, len(data)
	b.n++
	return it
}

// gather appends a frame given in pieces: they are copied to the buffer that the
// frame travels in.
func (b *batch) gather(pieces net.Buffers, h frame.VNetHeader) {
	it := &b.items[b.n]
	b.n++
	b.setHeader(it, h)
	for _, p := range pieces {
		it.size += len(p)
	}
	if it.size > b.buffers.longest(h) {
		return // no data: it is a giant
	}
	it.buf = b.buffers.of(it.size).Get()
	it.buf.SetLen(it.size)
	it.data = it.buf.Bytes()
	at := 0
	for _, p := range pieces {
		at += copy(it.data[at:], p)
	}
}

// setHeader makes h the metadata of it.
func (b *batch) setHeader(it *item, h frame.VNetHeader) {
	if !h.IsZero() {
		it.header, b.metadata = h, true
	}
}

// clear releases what the items hold, but for receive buffers, and empties the
// batch.
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

// form returns the bytes of item i in the form wanted; see item.inAlt.
func (b *batch) form(i uint8, as *portConf) []byte {
	it := &b.items[i]
	if !it.inAlt(as) {
		return it.data
	}
	return b.other(it).Bytes()
}

// header returns the metadata of item i in the form wanted.
func (b *batch) header(i uint8, as *portConf) frame.VNetHeader {
	it := &b.items[i]
	switch {
	case !b.metadata || !it.inAlt(as):
		return it.header
	case it.tagged:
		return moved(it.header, -frame.TagLen)
	}
	return moved(it.header, frame.TagLen)
}

// moved returns h for the frame with n bytes more in front of its IP header.
func moved(h frame.VNetHeader, n int) frame.VNetHeader {
	if h.GSOType != frame.GSONone {
		h.HdrLen = uint16(int(h.HdrLen) + n)
	}
	if h.Flags&frame.VNetNeedsChecksum != 0 {
		h.CsumStart = uint16(int(h.CsumStart) + n)
	}
	return h
}

// other returns a frame with its tag removed, or with one if it had none.
func (b *batch) other(it *item) *pool.Buffer {
	if it.alt == nil {
		it.alt = b.buffers.of(len(it.data) + frame.TagLen).Get()
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
		case b.keepsBuffer(it):
			it.buf, it.recvBuf = it.recvBuf, nil
			if pool.LeakMode {
				pool.AddOwner("", it.buf) // it was the receiver's
			}
			it.buf.SetLen(len(it.data))
			k++
		default:
			k += b.copyRun(items[k:], as)
		}
	}
}

// copyRun copies the first of items, and those after it for which the same is to
// be done, to buffers from one pool; it returns how many.
func (b *batch) copyRun(items []uint8, as *portConf) int {
	p := b.buffers.of(len(b.items[items[0]].data))
	n := 1
	for ; n < len(items); n++ {
		it := &b.items[items[n]]
		if it.inAlt(as) || it.buf != nil || b.keepsBuffer(it) || b.buffers.of(len(it.data)) != p {
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

// own makes the bytes of it the batch's, so that they may be changed.
func (b *batch) own(it *item) {
	if it.shared || it.buf == nil && it.recvBuf == nil {
		others := it.buf
		it.buf = b.buffers.of(len(it.data)).Get()
		it.buf.SetLen(copy(it.buf.Bytes(), it.data))
		it.data = it.buf.Bytes()
		if it.shared {
			it.shared = false
			others.Release()
		}
	}
}
