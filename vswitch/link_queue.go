// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"sync"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
)

// A sendQueue holds frames for a link under [HeadDrop]: a queue in the kernel
// does not give back what it has.
type sendQueue struct {
	draining atomic.Bool // a goroutine sends what is queued; written with mu held

	mu     sync.Mutex
	closed bool          // guarded by mu
	ring   []queuedFrame // guarded by mu; nil until something is queued
	head   int           // guarded by mu; index of the oldest
	n      int           // guarded by mu
	owner  string        // of the buffers, in leak mode; written before the first push
}

// A queuedFrame is a frame in a queue: one reference to its buffer, and its
// metadata.
type queuedFrame struct {
	buf    *pool.Buffer
	header frame.VNetHeader
}

// push adds f to the queue and returns the one that had to make room for it, if
// any; mu is held.
func (q *sendQueue) push(f queuedFrame, limit int) (evicted queuedFrame) {
	if q.ring == nil {
		q.ring = make([]queuedFrame, limit)
	}
	if q.n == len(q.ring) {
		evicted = q.pop()
	}
	q.ring[(q.head+q.n)%len(q.ring)] = f
	q.n++
	if pool.LeakMode {
		pool.AddOwner(q.owner, f.buf)
	}
	return evicted
}

// pop takes the oldest, which is there; mu is held.
func (q *sendQueue) pop() queuedFrame {
	f := q.ring[q.head]
	q.ring[q.head] = queuedFrame{}
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return f
}

// release releases the buffers of frames that were popped.
func (q *sendQueue) release(bufs []*pool.Buffer) {
	if pool.LeakMode {
		pool.RemoveOwner(q.owner, bufs...)
	}
	pool.ReleaseBatch(bufs)
}

// drop releases the buffer of a frame that was popped.
func (q *sendQueue) drop(f queuedFrame) {
	if pool.LeakMode {
		pool.RemoveOwner(q.owner, f.buf)
	}
	f.buf.Release()
}

// close empties the queue for good and returns how many frames there were.
func (q *sendQueue) close() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for ; q.n > 0; n++ {
		q.drop(q.pop())
	}
	q.ring = nil
	return n
}

// drainChunk is how many frames are taken from the queue at once; they cannot be
// dropped for later ones any more.
const drainChunk = 16

// drain sends what is queued, in order, until nothing is left.
func (e *linkEndpoint) drain() {
	var (
		bufs    [drainChunk]*pool.Buffer
		views   [drainChunk][]byte
		headers [drainChunk]frame.VNetHeader
		q       = &e.queue
	)
	for {
		n := 0
		q.mu.Lock()
		for ; n < drainChunk && q.n > 0; n++ {
			f := q.pop()
			bufs[n], views[n], headers[n] = f.buf, f.buf.Bytes(), f.header
		}
		if n == 0 {
			q.draining.Store(false)
			q.ring = nil
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		e.drainAll(link.Tx{Frames: views[:n], Headers: headers[:n], NoWait: true})
		clear(views[:n])
		q.release(bufs[:n])
	}
}

// drainAll sends t, waiting as long as it takes.
func (e *linkEndpoint) drainAll(t link.Tx) {
	for len(t.Frames) > 0 {
		if !e.offload().Takes(t.Headers[0]) {
			e.dropQueued(1, outRefused) // a link that has become another one
			t = t.From(1)
			continue
		}
		n, cause := e.sendTx(t)
		t = t.From(n)
		switch {
		case len(t.Frames) == 0:
		case cause == outFull:
			e.waitSlot <- struct{}{} // its holder waits for room too, for a time or until close
			e.awaitRoom(&waiter{done: e.closing}, Forever)
			<-e.waitSlot
		case cause == outTooLong:
			e.dropQueued(1, cause)
			t = t.From(1)
		default:
			e.dropQueued(len(t.Frames), cause)
			return
		}
	}
}

func (e *linkEndpoint) dropQueued(n int, cause dropCause) {
	e.port.outNow().dropped[cause].Add(uint64(n))
}
