// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"sync"
	"sync/atomic"

	"github.com/go-vde/sdk/pool"
)

// A sendQueue holds frames for a socket under [DropOldest]: the kernel's queue
// does not give back what it has.
type sendQueue struct {
	draining atomic.Bool // a goroutine sends what is queued; written with mu held

	mu     sync.Mutex
	closed bool           // guarded by mu
	ring   []*pool.Buffer // guarded by mu; nil until something is queued
	head   int            // guarded by mu; index of the oldest
	n      int            // guarded by mu
}

// push adds buf to the queue and returns the one that had to make room for it,
// if any; mu is held.
func (q *sendQueue) push(buf *pool.Buffer, limit int) (evicted *pool.Buffer) {
	if q.ring == nil {
		q.ring = make([]*pool.Buffer, limit)
	}
	if q.n == len(q.ring) {
		evicted = q.pop()
	}
	q.ring[(q.head+q.n)%len(q.ring)] = buf
	q.n++
	return evicted
}

// pop takes the oldest, which is there; mu is held.
func (q *sendQueue) pop() *pool.Buffer {
	buf := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return buf
}

// close empties the queue for good and returns how many frames there were.
func (q *sendQueue) close() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for ; q.n > 0; n++ {
		q.pop().Release()
	}
	q.ring = nil
	return n
}

// drain sends what is queued, in order, until nothing is left.
func (c *socketCable) drain() {
	const chunk = 16 // these can no longer be dropped for later ones
	var (
		bufs  [chunk]*pool.Buffer
		views [chunk][]byte
		q     = &c.queue
	)
	for {
		n := 0
		q.mu.Lock()
		for ; n < chunk && q.n > 0; n++ {
			bufs[n] = q.pop()
			views[n] = bufs[n].Bytes()
		}
		if n == 0 {
			q.draining.Store(false)
			q.ring = nil
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		c.drainAll(views[:n])
		clear(views[:n])
		pool.ReleaseBatch(bufs[:n])
	}
}

// drainAll sends views, waiting as long as it takes.
func (c *socketCable) drainAll(views [][]byte) {
	for len(views) > 0 {
		n, cause := c.write(views, c.queuesHeaded())
		views = views[n:]
		switch {
		case len(views) == 0:
		case cause == outFull:
			c.gate <- struct{}{} // who holds it waits for room too, for a time or until close
			c.awaitRoom(Forever, c.done, nil)
			<-c.gate
		default:
			drop := len(views)
			if cause == outTooLong {
				drop = 1
			}
			c.port.out.dropped[cause].Add(uint64(drop))
			views = views[drop:]
		}
	}
}
