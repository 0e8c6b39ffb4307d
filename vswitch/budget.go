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

	// goodRate is the frames a second from which on a port counts as one that reads
	// as fast as it can: waiting for it costs a sender nothing as long as there are no
	// frames for other ports behind. A reader has this rate that empties a queue of
	// DefaultQueue frames whenever it gets a processor, and gets one every 50 ms.
	goodRate = 10_000

	// waitMemory is how many frames of a sender may have been behind each other in its
	// own queue: a frame for another port was delayed by the waiting for so many
	// frames before it, and not by what was earlier.
	waitMemory = 512
)

// A waitBudget bounds the time that one sender waits for room.
//
// Waiting for a port is flow control as far as the port keeps taking frames and
// nothing else is delayed. It is charged to the budget otherwise:
//
//   - at once, as far as the port is slower than goodRate;
//   - the rest with the next frame for another port that has nothing left to read,
//     because that frame may have been behind.
//
// The budget grows by one part in waitShare of the time that passes. A sender
// whose budget is used up waits only for a port for which nothing was charged the
// last time. The zero value is a full budget.
type waitBudget struct {
	// waitedFor is the port that the sender has waited for last, unless that was
	// charged since. Written with mu held.
	waitedFor atomic.Pointer[port]
	frames    atomic.Uint64 // of the sender, since it has waited for waitedFor

	mu     sync.Mutex
	used   time.Duration // guarded by mu; of maxWaitBudget, at the time at
	at     time.Time     // guarded by mu
	delay  time.Duration // guarded by mu; of a frame that comes next, not charged yet
	causes []*port       // guarded by mu; of delay, at most maxCauses
	total  time.Duration // guarded by mu; in all, charged or not
}

// refill gives back what time has earned; mu is held.
func (b *waitBudget) refill(now time.Time) {
	if b.used > 0 {
		b.used = max(b.used-now.Sub(b.at)/waitShare, 0)
	}
	b.at = now
}

// allows returns how long the sender may wait for p, which is no longer than wait.
func (b *waitBudget) allows(p *port, wait time.Duration) time.Duration {
	if p.flows.Load() {
		return wait
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(time.Now())
	if left := maxWaitBudget - b.used; left >= minWait {
		return min(left, wait)
	}
	return 0
}

// waited notes that the sender has waited for p, which takes rate frames a second.
func (b *waitBudget) waited(p *port, waited time.Duration, rate float64, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	b.total += waited
	good := time.Duration(float64(waited) * min(rate/goodRate, 1))
	b.charge(waited - good)
	p.flows.Store(rate >= goodRate)
	if b.waitedFor.Swap(p) != p {
		b.addCause(p)
	}
	if since := b.frames.Swap(0); since < waitMemory {
		b.delay -= b.delay * time.Duration(since) / waitMemory
	} else {
		b.delay = 0
	}
	b.delay += good
}

// delayed charges what has delayed a frame for another port than waitedFor.
func (b *waitBudget) delayed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(time.Now())
	b.charge(b.delay)
	b.delay = 0
	b.waitedFor.Store(nil)
	for _, p := range b.causes {
		p.flows.Store(false)
	}
	clear(b.causes)
	b.causes = b.causes[:0]
}

// maxCauses bounds the ports that are remembered as the causes of a delay.
const maxCauses = 16

// addCause notes that p has caused a part of delay; mu is held.
func (b *waitBudget) addCause(p *port) {
	switch {
	case slices.Contains(b.causes, p):
		return
	case len(b.causes) == maxCauses:
		b.causes[0].flows.Store(false)
		b.causes = slices.Delete(b.causes, 0, 1)
	}
	b.causes = append(b.causes, p)
}

// charge takes d from the budget; mu is held.
func (b *waitBudget) charge(d time.Duration) {
	b.used += d
}

// A rateMeter measures how fast an endpoint takes frames, from one moment at which
// it is full to another.
type rateMeter struct {
	mu    sync.Mutex
	at    time.Time // guarded by mu
	taken uint64    // guarded by mu; until at
	rate  float64   // guarded by mu; frames a second, before at
}

// update asks how many frames the endpoint has taken until now, unless it did so within
// minWait, and returns its rate between the last two times.
func (m *rateMeter) update(now time.Time, total func() uint64) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if since := now.Sub(m.at); since >= minWait {
		taken := total()
		m.rate = float64(taken-m.taken) / since.Seconds() // next to nothing the first time
		m.at, m.taken = now, taken
	}
	return m.rate
}

// takenSince returns how many frames the endpoint has taken since the last update, if
// it takes them as fast as before.
func (m *rateMeter) takenSince() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() {
		return math.Inf(1)
	}
	return m.rate * time.Since(m.at).Seconds()
}
