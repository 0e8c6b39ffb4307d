// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what ports with the policy [Backpressure] cost the frames that their
// senders have for other ports. They do not apply to ports whose Wait is
// [Forever].
const (
	// waitShare is one in how many units of its time a sender waits, for all ports
	// together, to the disadvantage of frames for other ports: a little more than
	// 3 %, so that with the work that waiting and dropping takes it stays below 5 %.
	waitShare = 32

	// maxWaitBudget is how much of that time a sender can have saved: for two or
	// three readers that the system keeps from running for DefaultWait.
	maxWaitBudget = 50 * time.Millisecond

	// minWait is the shortest time that a sender waits for: shorter ones would cost
	// more in timers and switches between goroutines than they bring.
	minWait = time.Millisecond

	// waitMemory is how many frames of a sender may have been behind each other in its
	// own queue: a frame for another port was delayed by the waiting for so many
	// frames before it, and not by what was earlier.
	waitMemory = 512
)

// A waitBudget bounds the time that one sender waits for room.
//
// Waiting for a port is flow control as long as nothing else is delayed, however slow
// the port is. It is charged to the budget with the next frame for another port that
// has nothing left to read, because that frame may have been behind.
//
// The budget grows by one part in waitShare of the time that passes. A sender
// whose budget is used up waits only for an endpoint for which nothing was charged to
// it the last time: what others find there does not count. The zero value is a full
// budget.
type waitBudget struct {
	// waitedFor is the port that the sender has waited for last, unless that was
	// charged since. Written with mu held.
	waitedFor atomic.Pointer[port]
	frames    atomic.Uint64 // of the sender, since it has waited for waitedFor

	mu    sync.Mutex
	used  time.Duration // guarded by mu; of maxWaitBudget, at the time at
	at    time.Time     // guarded by mu
	delay time.Duration // guarded by mu; of a frame that comes next, not charged yet
	waits []waitRecord  // guarded by mu; at most maxWaits, the latest last
	total time.Duration // guarded by mu; in all, charged or not
}

// refill gives back what time has earned; mu is held.
func (b *waitBudget) refill(now time.Time) {
	if b.used > 0 {
		b.used = max(b.used-now.Sub(b.at)/waitShare, 0)
	}
	b.at = now
}

// allows returns how long the sender may wait for e, which is no longer than wait.
func (b *waitBudget) allows(e *endpoint, wait time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(e); i >= 0 && b.waits[i].free {
		return wait
	}
	b.refill(time.Now())
	if left := maxWaitBudget - b.used; left >= minWait {
		return min(left, wait)
	}
	return 0
}

// waited notes that the sender has waited for e until now.
func (b *waitBudget) waited(e *endpoint, waited time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	b.total += waited
	r := b.record(e)
	r.free = true
	b.waitedFor.Store(e.port)
	if since := b.frames.Swap(0); since < waitMemory {
		b.delay -= b.delay * time.Duration(since) / waitMemory
	} else {
		b.delay = 0
	}
	b.delay += waited
}

// delayed charges what has delayed a frame for another port than waitedFor.
func (b *waitBudget) delayed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(time.Now())
	b.used += b.delay
	b.delay = 0
	b.waitedFor.Store(nil)
	for i := range b.waits {
		b.waits[i].free = false
	}
}

// A waitRecord is what a sender knows about an endpoint that it has waited for. Each
// sender has its own: what others have behind is not delayed.
type waitRecord struct {
	endpoint uint64 // its ID
	free     bool   // nothing was charged for what came behind the last time
}

// maxWaits bounds the endpoints that a sender knows something about.
const maxWaits = 64

// find returns where the record of e is, or -1; mu is held.
func (b *waitBudget) find(e *endpoint) int {
	return slices.IndexFunc(b.waits, func(r waitRecord) bool { return r.endpoint == e.info.ID })
}

// record returns the record of e, as the latest one; mu is held.
func (b *waitBudget) record(e *endpoint) *waitRecord {
	r := waitRecord{endpoint: e.info.ID}
	if i := b.find(e); i >= 0 {
		r = b.waits[i]
		b.waits = slices.Delete(b.waits, i, i+1)
	} else if len(b.waits) == maxWaits {
		b.waits = slices.Delete(b.waits, 0, 1)
	}
	b.waits = append(b.waits, r)
	return &b.waits[len(b.waits)-1]
}

// A rateMeter measures how fast an endpoint takes frames between two moments.
type rateMeter struct {
	at    time.Time
	taken uint64  // until at
	rate  float64 // frames a second, before at
}

// update notes how many frames the endpoint has taken until now, unless that was done
// within minWait.
func (m *rateMeter) update(now time.Time, taken uint64) {
	if since := now.Sub(m.at); since >= minWait {
		m.rate = float64(taken-m.taken) / since.Seconds() // next to nothing the first time
		m.at, m.taken = now, taken
	}
}

// leastRate is the frames a second that takenSince supposes at least: an endpoint that
// was not full for so long may have read all.
const leastRate = 2500

// takenSince returns how many frames the endpoint may have taken since the last update,
// at which it was full: as many as if it took them as fast as before.
func (m *rateMeter) takenSince(now time.Time) float64 {
	if m.at.IsZero() {
		return math.Inf(1)
	}
	return max(m.rate, leastRate) * now.Sub(m.at).Seconds()
}
