// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"net"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
)

// receive forwards what the link receives until it has ended, or is closed, and
// then ends the endpoint.
func (e *linkEndpoint) receive() {
	caps := e.link.Caps()
	if caps.Notifier != nil {
		caps.Notifier.Serve(&linkNotified{e, caps.Notifier}) // its Ended says when that is over
		return
	}
	e.finish(e.receiveLoop(newLinkReceiver(e.sw.buffers, hasMetadata(caps))))
}

// hasMetadata reports whether partial frames may come from a link.
func hasMetadata(caps link.Caps) bool { return caps.Offload != 0 || caps.SharedMemory }

// suiting returns a receiver for what the link of e has become since r was made, in
// place of r, which holds no frames.
func (r *linkReceiver) suiting(e *linkEndpoint) *linkReceiver {
	metadata := hasMetadata(e.link.Caps())
	if metadata == (r.headers != nil) {
		return r
	}
	r.release(0)
	return newLinkReceiver(e.sw.buffers, metadata)
}

// receiveLoop forwards what r receives, or the one that takes its place, and returns
// why it has ended.
func (e *linkEndpoint) receiveLoop(r *linkReceiver) error {
	defer func() { r.release(0) }()
	const fatal = 16 // errors in a row; one may be left over from something that is over
	failed := 0
	for {
		if pool.LeakMode && r.owner == "" {
			r.owner = e.String() + " to receive in"
		}
		n, err := r.recv(e.link)
		switch {
		case err == nil:
			failed = 0
			r.forward(e, n)
		case err == link.ErrEmpty:
			r.busy = false
			if e.redials {
				r = r.suiting(e)
			}
		case e.isEnd(err):
			return err
		default:
			if failed++; failed == fatal {
				return err
			}
		}
	}
}

// isEnd reports whether err, of a receive, says that there is nothing more.
func (e *linkEndpoint) isEnd(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return true
	}
	end := e.link.Err()
	return end != nil && errors.Is(err, end)
}

// metadataBatch is the most frames received together if any may be of 64 KiB.
const metadataBatch = 16

// A linkReceiver holds the buffers that frames are received in: while it waits
// one, while frames keep coming full batches.
type linkReceiver struct {
	buffers *bufferPools
	pool    *pool.Pool
	longest int // frame that may come
	most    int // frames at once
	busy    bool
	owner   string // of bufs, in leak mode

	bufs    [maxBatch]*pool.Buffer
	windows [maxBatch][]byte
	sizes   [maxBatch]int
	headers []frame.VNetHeader // nil to receive ordinary frames only
}

func newLinkReceiver(buffers *bufferPools, metadata bool) *linkReceiver {
	r := &linkReceiver{buffers: buffers, most: maxBatch}
	r.pool, r.longest = buffers.receive(metadata)
	if metadata {
		r.most = metadataBatch
		r.headers = make([]frame.VNetHeader, metadataBatch)
	}
	return r
}

// recv receives frames from l. While it is busy it does not wait.
func (r *linkReceiver) recv(l link.Link) (n int, err error) {
	want := 1
	if r.busy {
		want = r.most
	} else {
		r.release(1)
	}
	r.pool.GetBatch(r.bufs[:want])
	if pool.LeakMode {
		pool.AddOwner(r.owner, r.bufs[:want]...)
	}
	for i, b := range pool.Windows(r.windows[:], r.bufs[:want]) {
		r.windows[i] = b[:r.longest]
	}
	return l.Recv(link.Rx{Bufs: r.windows[:want], Sizes: r.sizes[:], Headers: r.headers, USO: true, NoWait: r.busy})
}

// forward forwards the n frames that were received for e.
func (r *linkReceiver) forward(e *linkEndpoint, n int) {
	r.busy = true
	f := newForwarder(&e.endpoint)
	defer f.free()
	f.wait.done, f.wait.limit = e.closing, e.limitDrain
	b := &f.batch
	if r.headers != nil {
		b.copyBreak = r.buffers.large + 1
	}
	for i, size := range r.sizes[:n] {
		it := &b.items[i]
		it.recvBuf, it.size, it.data = r.bufs[i], size, r.windows[i][:min(size, r.longest)]
		if r.headers != nil {
			b.setHeader(it, r.headers[i])
		}
	}
	b.n = n
	_, _ = f.forward() // fails only if it is exact
	for i := range n {
		r.bufs[i] = b.items[i].recvBuf // nil if it was handed on
	}
}

// release releases the buffers from the first on.
func (r *linkReceiver) release(first int) { pool.ReleaseBatch(r.bufs[first:]) }

// A linkNotified receives frames of an endpoint when a [link.Notifier] says so.
// An idle endpoint holds neither a batch nor buffers.
type linkNotified struct {
	e        *linkEndpoint
	notifier link.Notifier
}

// Ready implements link.Receiver.
func (r *linkNotified) Ready(release func()) bool {
	f := newForwarder(&r.e.endpoint)
	defer f.free()
	f.wait.done, f.wait.limit, f.wait.onBlock = r.e.closing, r.e.limitDrain, release
	b := &f.batch
	b.beginPlacing()
	n, err := r.notifier.RecvPlaced(b, maxBatch)
	b.endPlacing(n)
	if err != nil {
		return false // the Notifier finds out, too
	}
	b.n = n
	_, _ = f.forward() // fails only if it is exact
	bufs := b.refs[:n]
	for i := range bufs {
		bufs[i] = b.items[i].recvBuf // nil if it was handed on
	}
	pool.ReleaseBatch(bufs)
	return true
}

// Ended implements link.Receiver.
func (r *linkNotified) Ended(err error) { go r.e.finish(err) }

// slabFrame is the size up to which a frame is copied out of a ring into memory
// that the batch has anyway. Should an in-process port get it, it is copied again;
// a longer one is put into a buffer that can be handed on.
const slabFrame = mediumBuffer

// beginPlacing makes b ready for Place.
func (b *batch) beginPlacing() {
	b.slabUsed, b.placed = 0, 0
	if b.slab == nil {
		b.slab = make([]byte, maxBatch*slabFrame)
	}
}

// endPlacing gives back what was placed beyond the n frames that were received.
func (b *batch) endPlacing(n int) {
	for i := n; i < b.placed; i++ {
		it := &b.items[i]
		if it.recvBuf != nil {
			it.recvBuf.Release()
		}
		*it = item{}
	}
}

// Place implements [link.Placer]: it makes the i-th frame item i of b.
func (b *batch) Place(i, size int, h frame.VNetHeader) []byte {
	it := &b.items[i]
	it.size = size
	b.placed = i + 1
	b.setHeader(it, h)
	switch {
	case size > b.buffers.longest(h):
		return nil
	case size <= slabFrame:
		it.data = b.slab[b.slabUsed : b.slabUsed+size : b.slabUsed+size]
		b.slabUsed += size
	default:
		it.recvBuf = b.buffers.of(size).Get()
		it.data = it.recvBuf.Bytes()[:size]
	}
	return it.data
}
