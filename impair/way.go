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

// An outgoing frame is at the end of its way; it carries one reference.
type outgoing = *pool.Buffer

// A way is one direction of a line.
type way struct {
	arrive func([]outgoing) (taken int) // takes all the references

	mu      sync.Mutex
	what    Impairment
	chance  *rand.Rand
	cut     bool
	stopped bool
	stats   Stats
	order   uint64    // frames scheduled so far
	free    time.Time // when the rate lets the next frame begin
	last    time.Time // when the last frame that keeps the order arrives
	queue   travellers
	wake    chan struct{}   // one slot: the head of queue has changed, or stopped
	idlers  []chan struct{} // to be closed when queue is empty and nothing is arriving
	busy    bool            // frames are arriving
}

// most is how many frames arrive in one batch.
const most = 64

func newWay(what Impairment, seed, stream uint64, arrive func([]outgoing) int) *way {
	return &way{arrive: arrive, what: what, chance: rand.New(rand.NewPCG(seed, stream)), wake: make(chan struct{}, 1)}
}

func (w *way) set(what Impairment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what = what
}

func (w *way) partition(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

func (w *way) snapshot() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Pending = s.Frames + s.Duplicated - s.Passed - s.Lost - s.Partitioned - s.Overflowed - s.Refused
	return s
}

// enter decides about a frame. It takes over b.
func (w *way) enter(b *pool.Buffer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Frames++
	// Chance is asked the same questions for each frame, so that one answer
	// does not shift the others.
	lost := w.chance.Float64() < w.what.Loss
	twice := w.chance.Float64() < w.what.Duplicate
	overtakes := w.chance.Float64() < w.what.Reorder
	jitter := time.Duration((2*w.chance.Float64() - 1) * float64(w.what.Jitter))
	switch {
	case w.stopped:
		w.stats.Refused++
	case w.cut:
		w.stats.Partitioned++
	case lost:
		w.stats.Lost++
	default:
		if twice {
			w.stats.Duplicated++
			w.schedule(b.Retain(), overtakes, jitter)
		}
		w.schedule(b, overtakes, jitter)
		return
	}
	b.Release()
}

// schedule puts a frame on its way; mu is held.
func (w *way) schedule(b *pool.Buffer, overtakes bool, jitter time.Duration) {
	limit := w.what.Queue
	if limit == 0 {
		limit = DefaultQueue
	}
	if len(w.queue) >= limit {
		w.stats.Overflowed++
		b.Release()
		return
	}
	now := time.Now()
	at := now
	if w.what.Rate > 0 {
		if w.free.Before(now) {
			w.free = now
		}
		w.free = w.free.Add(time.Duration(float64(len(b.Bytes())) * 8 * float64(time.Second) / float64(w.what.Rate)))
		at = w.free
	}
	if overtakes {
		w.stats.Reordered++
	} else {
		at = at.Add(max(w.what.Delay+jitter, 0))
		if at.Before(w.last) {
			at = w.last
		}
		w.last = at
	}
	w.order++
	heap.Push(&w.queue, traveller{at, w.order, b})
	if w.queue[0].order == w.order {
		w.signal()
	}
}

// signal makes run look again.
func (w *way) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run lets frames arrive when their time has come, until stop.
func (w *way) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	batch := make([]outgoing, 0, most)
	for {
		batch = batch[:0]
		w.mu.Lock()
		if w.stopped {
			w.abandon()
			w.mu.Unlock()
			return
		}
		now := time.Now()
		for len(w.queue) > 0 && len(batch) < most && !w.queue[0].at.After(now) {
			batch = append(batch, heap.Pop(&w.queue).(traveller).frame)
		}
		w.busy = len(batch) > 0
		w.settle()
		pause := time.Duration(-1)
		if len(w.queue) > 0 {
			pause = w.queue[0].at.Sub(now)
		}
		w.mu.Unlock()

		if len(batch) > 0 {
			n := w.arrive(batch)
			w.mu.Lock()
			w.stats.Passed += uint64(n)
			w.stats.Refused += uint64(len(batch) - n)
			w.mu.Unlock()
			continue
		}
		if pause < 0 {
			<-w.wake
			continue
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-w.wake:
		}
	}
}

// settle tells those who wait for the last frame; mu is held.
func (w *way) settle() {
	if w.busy || len(w.queue) > 0 {
		return
	}
	for _, ch := range w.idlers {
		close(ch)
	}
	w.idlers = nil
}

// idle returns a channel that is closed when all frames have arrived.
func (w *way) idle() <-chan struct{} {
	ch := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idlers = append(w.idlers, ch)
	w.settle()
	return ch
}

// stop ends run; what is under way does not arrive.
func (w *way) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.signal()
}

// abandon drops what is under way; mu is held.
func (w *way) abandon() {
	for _, t := range w.queue {
		w.stats.Refused++
		t.frame.Release()
	}
	w.queue = nil
	w.busy = false
	w.settle()
}

// A traveller is a frame and when it arrives.
type traveller struct {
	at    time.Time
	order uint64 // among those that arrive at the same time
	frame outgoing
}

// travellers is a heap.Interface, the next to arrive first.
type travellers []traveller

func (q travellers) Len() int { return len(q) }

func (q travellers) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].order < q[j].order
	}
	return q[i].at.Before(q[j].at)
}

func (q travellers) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

func (q *travellers) Push(x any) { *q = append(*q, x.(traveller)) }

func (q *travellers) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = traveller{}
	*q = old[:len(old)-1]
	return t
}
