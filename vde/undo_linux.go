// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"net"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

const (
	// undoBatch is how many datagrams an undoer receives at once: each takes
	// 64 KiB, and calls for more save little.
	undoBatch = 8

	// undoSize is what the longest datagram to segment needs.
	undoSize = frame.VNetHeaderLen + frame.MaxGSO
)

// An undoer receives datagrams with offload headers for a Conn that has not
// asked for them: it takes the headers off, and finishes what the other side
// nevertheless sent unfinished, perhaps before this one existed. Frames are
// copied once for that.
//
// A segment becomes more frames than there may be room for. They, and what came
// behind it, are kept for the next call.
type undoer struct {
	space [undoBatch][]byte // datagrams; allocated when needed
	sizes [undoBatch]int
	next  int // the first datagram not looked at
	n     int // datagrams received

	seg  gso.Segmenter // of the datagram before next
	rest int           // frames that seg has still to give
	cut  []byte        // a frame for which a buffer was too short

	// held is how many frames are kept, for Close, which makes it negative.
	held atomic.Int64
}

// receive is socketLink's.
func (u *undoer) receive(l *socketLink, bufs [][]byte, sizes []int, wait bool) (n int, err error) {
	if want := min(len(bufs), len(sizes)); want < len(bufs) {
		bufs = bufs[:want]
	}
	before := int64(u.pending())
	if before == 0 {
		want := min(len(bufs), undoBatch)
		for i := range want {
			if size := max(undoSize, frame.VNetHeaderLen+len(bufs[i])); len(u.space[i]) < size {
				u.space[i] = make([]byte, size)
			}
		}
		u.next = 0
		if u.n, err = l.datagrams(u.space[:want], u.sizes[:], wait); err != nil {
			return 0, err
		}
	}
	for ; n < len(bufs) && u.pending() > 0; n++ {
		sizes[n] = u.give(bufs[n])
	}
	if !u.held.CompareAndSwap(before, int64(u.pending())) && before > 0 {
		return 0, net.ErrClosed // and Close has counted them
	}
	return n, nil
}

// pending returns how many frames are kept. A datagram that nobody has looked at
// counts as one.
func (u *undoer) pending() int { return u.n - u.next + u.rest }

// give copies the next frame to buf and returns its length, which may be more.
// What is no frame becomes one that is too short to be any.
func (u *undoer) give(buf []byte) int {
	if u.rest > 0 {
		return u.segment(buf)
	}
	size := u.sizes[u.next]
	d := u.space[u.next][:min(size, len(u.space[u.next]))]
	u.next++
	o, err := frame.ParseVNetHeader(d)
	if err != nil {
		return size // nothing, or no whole header
	}
	d, size = d[frame.VNetHeaderLen:], size-frame.VNetHeaderLen
	switch {
	case size > len(d):
		return size
	case gso.Check(o, d) != nil:
		return 1
	case o.GSOType != frame.GSONone:
		u.seg.Reset(o, d)
		u.rest = gso.Count(o, d)
		return u.segment(buf)
	}
	gso.Finish(o, d)
	copy(buf, d)
	return max(size, 1) // a header is more than nothing
}

// segment is give for a datagram that is being cut.
func (u *undoer) segment(buf []byte) int {
	u.rest--
	size := u.seg.Size()
	if size <= len(buf) {
		u.seg.Next(buf)
		return size
	}
	if u.cut == nil {
		u.cut = make([]byte, undoSize)
	}
	u.seg.Next(u.cut)
	copy(buf, u.cut)
	return size
}

// close returns how many frames are kept, and that they are no more.
func (u *undoer) close() int { return int(max(u.held.Swap(-1), 0)) }
