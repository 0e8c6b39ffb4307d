// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"net"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
)

const (
	// resolveBatch is how many frames a Resolver receives at once: each needs
	// 64 KiB.
	resolveBatch = 8
	resolveSize  = frame.MaxGSO
)

// A Resolver receives ordinary frames from a source that may give partial ones:
// it completes checksums and segments GSO frames. Frames are copied once for
// that. Receives are made one at a time; Close may overlap.
//
// A GSO frame becomes more frames than there may be room for. They, and the
// frames behind it, are kept for the next call.
type Resolver struct {
	// Source receives frames with their metadata, which have passed [Check].
	Source func(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (n int, err error)

	space   [resolveBatch][]byte // allocated when needed
	sizes   [resolveBatch]int
	headers [resolveBatch]frame.VNetHeader
	next    int // the first frame that was not looked at
	n       int // frames received

	seg Segmenter // of the frame before next

	// held is how many frames are kept, for Close, which makes it negative.
	held atomic.Int64
	late atomic.Int64 // see Late
}

// Recv is Source for ordinary frames.
func (r *Resolver) Recv(bufs [][]byte, sizes []int, wait bool) (n int, err error) {
	if want := min(len(bufs), len(sizes)); want < len(bufs) {
		bufs = bufs[:want]
	}
	before := int64(r.pending())
	if before == 0 {
		if err := r.fetch(bufs, wait); err != nil {
			return 0, err
		}
	}
	for ; n < len(bufs) && r.pending() > 0; n++ {
		sizes[n] = r.give(bufs[n])
	}
	switch after := int64(r.pending()); {
	case r.held.CompareAndSwap(before, after):
	case before > 0:
		return 0, net.ErrClosed // and Close has counted them
	default:
		r.late.Add(after) // and Close has not
	}
	return n, nil
}

// fetch receives frames from Source for Recv.
func (r *Resolver) fetch(bufs [][]byte, wait bool) (err error) {
	want := min(len(bufs), resolveBatch)
	for i := range want {
		if size := max(resolveSize, len(bufs[i])); len(r.space[i]) < size {
			r.space[i] = make([]byte, size)
		}
	}
	r.next = 0
	r.n, err = r.Source(r.space[:want], r.sizes[:], r.headers[:], wait)
	return err
}

// pending returns how many frames are kept. A frame that was not looked at counts
// as one.
func (r *Resolver) pending() int { return r.n - r.next + r.seg.Left() }

// Pending reports whether frames are kept.
func (r *Resolver) Pending() bool { return r.pending() > 0 }

// give copies the next frame to buf and returns its length, which may be more.
func (r *Resolver) give(buf []byte) int {
	if size, ok := r.seg.NextCut(buf); ok {
		return size
	}
	i := r.next
	r.next++
	o, size := r.headers[i], r.sizes[i]
	f := r.space[i][:min(size, len(r.space[i]))]
	if o.GSOType != frame.GSONone && size == len(f) {
		r.seg.Reset(o, f)
		size, _ = r.seg.NextCut(buf)
		return size
	}
	Finish(o, f)
	copy(buf, f)
	return size
}

// Close returns how many frames are kept; they are lost.
func (r *Resolver) Close() int { return int(max(r.held.Swap(-1), 0)) }

// Late returns how many frames are lost in addition to what Close has returned,
// because a Recv that it overlapped could not give them all.
func (r *Resolver) Late() int { return int(r.late.Load()) }
