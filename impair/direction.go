// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-vde/sdk/pool"
)

// A direction is one direction of a line.
type direction struct {
	deliver func([]*pool.Buffer) (accepted int) // takes over all references

	mu      sync.Mutex
	impair  Impairment      // guarded by mu
	random  *rand.Rand      // guarded by mu
	cut     bool            // guarded by mu; partitioned
	stopped bool            // guarded by mu
	stats   Stats           // guarded by mu
	order   uint64          // guarded by mu; frames scheduled so far
	free    time.Time       // guarded by mu; when Rate lets the next frame begin
	last    time.Time       // guarded by mu; when the last frame that keeps the order arrives
	queue   scheduledQueue  // guarded by mu
	idlers  []chan struct{} // guarded by mu; closed when queue is empty and busy is false
	busy    bool            // guarded by mu; deliver is being called
	wake    chan struct{}   // capacity 1: the head of queue has changed, or stopped
}

// deliverBatch is how many frames are delivered at once.
const deliverBatch = 64

func newDirection(impair Impairment, seed, stream uint64, deliver func([]*pool.Buffer) int) *direction {
	return &direction{deliver: deliver, impair: impair, random: rand.New(rand.NewPCG(seed, stream)), wake: make(chan struct{}, 1)}
}

func (d *direction) set(impair Impairment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.impair = impair
}

func (d *direction) partition(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = on
}

func (d *direction) snapshot() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Pending = s.Frames + s.Duplicated - s.Delivered - s.Lost - s.Partitioned - s.Overflowed - s.Refused
	return s
}

// enter decides what happens to a frame. It takes over b.
func (d *direction) enter(b *pool.Buffer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stats.Frames++
	// Each frame takes the same random numbers, whatever they decide, so that one
	// decision does not change those about later frames.
	lost := d.random.Float64() < d.impair.Loss
	twice := d.random.Float64() < d.impair.Duplicate
	overtakes := d.random.Float64() < d.impair.Reorder
	jitter := time.Duration((2*d.random.Float64() - 1) * float64(d.impair.Jitter))
	switch {
	case d.stopped:
		d.stats.Refused++
	case d.cut:
		d.stats.Partitioned++
	case lost:
		d.stats.Lost++
	default:
		if twice {
			d.stats.Duplicated++
			d.schedule(b.Retain(), overtakes, jitter)
		}
		d.schedule(b, overtakes, jitter)
		return
	}
	b.Release()
}

// schedule decides when a frame arrives; d.mu is held.
func (d *direction) schedule(b *pool.Buffer, overtakes bool, jitter time.Duration) {
	limit := d.impair.Queue
	if limit == 0 {
		limit = DefaultQueue
	}
	if len(d.queue) >= limit {
		d.stats.Overflowed++
		b.Release()
		return
	}
	now := time.Now()
	at := now
	if d.impair.Rate > 0 {
		if d.free.Before(now) {
			d.free = now
		}
		d.free = d.free.Add(time.Duration(float64(len(b.Bytes())) * 8 * float64(time.Second) / float64(d.impair.Rate)))
		at = d.free
	}
	if overtakes {
		d.stats.Reordered++
	} else {
		at = at.Add(max(d.impair.Delay+jitter, 0))
		if at.Before(d.last) {
			at = d.last
		}
		d.last = at
	}
	d.order++
	heap.Push(&d.queue, scheduled{at, d.order, b})
	if d.queue[0].order == d.order { // it is the next to arrive
		d.signal()
	}
}

// signal makes run look at the queue again.
func (d *direction) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run delivers frames when they are due, until stop.
func (d *direction) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	batch := make([]*pool.Buffer, 0, deliverBatch)
	for {
		batch = batch[:0]
		d.mu.Lock()
		if d.stopped {
			d.dropAll()
			d.mu.Unlock()
			return
		}
		now := time.Now()
		for len(d.queue) > 0 && len(batch) < deliverBatch && !d.queue[0].at.After(now) {
			batch = append(batch, heap.Pop(&d.queue).(scheduled).frame)
		}
		d.busy = len(batch) > 0
		d.notifyIdle()
		pause := time.Duration(-1)
		if len(d.queue) > 0 {
			pause = d.queue[0].at.Sub(now)
		}
		d.mu.Unlock()

		if len(batch) > 0 {
			n := d.deliver(batch)
			d.mu.Lock()
			d.stats.Delivered += uint64(n)
			d.stats.Refused += uint64(len(batch) - n)
			d.mu.Unlock()
			continue
		}
		if pause < 0 {
			<-d.wake
			continue
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-d.wake:
		}
	}
}

// notifyIdle wakes the callers of idle if nothing is under way; d.mu is held.
func (d *direction) notifyIdle() {
	if d.busy || len(d.queue) > 0 {
		return
	}
	for _, ch := range d.idlers {
		close(ch)
	}
	d.idlers = nil
}

// idle returns a channel that is closed when nothing is under way.
func (d *direction) idle() <-chan struct{} {
	ch := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.idlers = append(d.idlers, ch)
	d.notifyIdle()
	return ch
}

// stop ends run. Frames that are under way are dropped.
func (d *direction) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.signal()
}

// dropAll drops what is under way; d.mu is held.
func (d *direction) dropAll() {
	for _, f := range d.queue {
		d.stats.Refused++
		f.frame.Release()
	}
	d.queue = nil
	d.busy = false
	d.notifyIdle()
}

// A scheduled frame is one that is under way. It holds one reference.
type scheduled struct {
	at    time.Time // of arrival
	order uint64    // among those that arrive at the same time
	frame *pool.Buffer
}

// A scheduledQueue is a heap.Interface with the next frame to arrive first.
type scheduledQueue []scheduled

func (q scheduledQueue) Len() int { return len(q) }

func (q scheduledQueue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].order < q[j].order
	}
	return q[i].at.Before(q[j].at)
}

func (q scheduledQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *scheduledQueue) Push(x any) { *q = append(*q, x.(scheduled)) }

func (q *scheduledQueue) Pop() any {
	old := *q
	f := old[len(old)-1]
	old[len(old)-1] = scheduled{}
	*q = old[:len(old)-1]
	return f
}
