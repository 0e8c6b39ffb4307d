// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// An offload is what the two sides say about partial checksums and GSO frames. Its
// words are in the region: announce and refresh are called while that is mapped.
type offload struct {
	ours      *atomic.Uint32 // takesOffload when this side takes such frames
	theirs    *atomic.Uint32 // takesOffload when the other side does
	announced atomic.Bool    // ours was written
	peerTakes atomic.Bool    // theirs, when it was last read
}

// announce tells the other side that this one takes such frames.
func (o *offload) announce() {
	o.ours.Store(takesOffload)
	o.announced.Store(true)
}

// refresh reads whether the other side takes such frames.
func (o *offload) refresh() { o.peerTakes.Store(o.theirs.Load()&takesOffload != 0) }

// checkHeader checks h against a frame of size bytes that was copied to buf, as far
// as it fits there, and sets the fields of h that mean nothing to zero. It returns
// size, or 1 with an h of zeros if the frame is not what h says: the caller of Recv
// counts a frame so short as a runt. If too little of the frame was copied to
// check it, h becomes zeros.
func checkHeader(h *frame.VNetHeader, buf []byte, size int) int {
	if size > len(buf) && len(buf) < gso.MaxHead {
		*h = frame.VNetHeader{}
		return size
	}
	accepted, err := gso.Accept(*h, buf[:min(size, len(buf))], size)
	if err != nil {
		*h = frame.VNetHeader{}
		return 1
	}
	*h = accepted
	return size
}
