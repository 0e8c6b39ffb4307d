// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A poller decides about the polls of one End.
//
// Sleeping until the doorbell is rung costs both sides some microseconds where
// processors are busy, and tens where they are virtual and idle, and a question and
// its answer through a switch take four such turns. So a receive that expects an
// answer at any moment does not sleep at once: it looks again and again for up to
// maxPoll, and between looks yields its processor to any other process, first of
// all those of the other parties, of which there can be more than processors. (A
// stream of frames in one direction is different: it gains when its receiver
// sleeps, because frames then come in larger batches.)
//
// A receive polls only if
//
//   - it was not told not to,
//   - the last receive brought the answer to something, and both were short,
//   - the poll leaves the runtime a processor for everything else,
//   - polls found something lately: each miss makes them rarer, and
//   - nobody computes on the processors: one that is yielded to a process that
//     computes comes back when that process's time slice is over.
type poller struct {
	never bool // see NoPolling and SameProcess

	expects bool // exchange.answered when the wait began

	skip    int // waits to come without a poll
	penalty int // what the next miss sets skip to

	otherHits int // polls that found frames of other Ends since the last that found this one's

	yield yieldPolicy
}

const (
	maxPoll      = 200 * time.Microsecond
	maxSkip      = 63
	maxOtherHits = 63
)

// polls is how many polls are under way in this process, or are being refused.
var polls atomic.Int32

// SameProcess says that the other side is in this process too: the runtime wakes
// it sooner than a poll would find what it sends. It must be called before the
// first receive.
func (e *End) SameProcess() { e.NoPolling() }

// NoPolling keeps e from polling, and others from polling for e. It must be called
// before the first receive.
func (e *End) NoPolling() { e.poller.never = true }

// mayPoll reports whether polls are useful at all for the wait that has begun.
func (p *poller) mayPoll() bool { return p.expects && !p.never }

// hit notes that a poll found frames of x for e, and reports whether e goes on to
// receive them.
func (p *poller) hit(x, e *End) bool {
	switch {
	case x == e:
		p.penalty, p.otherHits = 0, 0
	case p.otherHits < maxOtherHits:
		p.otherHits++
	default: // e has no part in the exchange of the others
		p.otherHits = 0
		return false
	}
	return true
}

// miss notes that a poll found nothing.
func (p *poller) miss() { p.skip, p.penalty = p.penalty, min(2*p.penalty+1, maxSkip) }

// poll looks for a frame of e, or of another End of its group, for a while, and
// returns the End that has one, or nil when it is time to sleep. rx.waitMu is held.
func (e *End) poll() *End {
	p := &e.poller
	if !p.mayPoll() {
		return nil
	}
	if p.skip > 0 {
		p.skip--
		return nil
	}
	begun := time.Since(start)
	if begun < time.Duration(backoff.until.Load()) {
		return nil
	}
	defer polls.Add(-1)
	if polls.Add(1) >= int32(runtime.GOMAXPROCS(0)) {
		return nil
	}
	e.member.group.lead(e)
	p.yield.gosched(begun)
	begun = time.Since(start) // what ran meanwhile belongs to this process
	for now := begun; now-begun <= maxPoll; {
		x := e.member.group.poll(e)
		if x == nil && e.rx.hasFrame() {
			x = e
		}
		if x != nil {
			if !p.hit(x, e) {
				return nil
			}
			return x
		}
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		yielded := now
		if now = time.Since(start); now-yielded > longSlice {
			backoff.extend(now)
		}
	}
	p.miss()
	return nil
}

func (r *receiver) hasFrame() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready()
}

// A pollBackoff keeps a process from polling while others compute on the
// processors. Any of those may do so for a moment; so the back-off begins short,
// and becomes longer each time that it turns out to have been too short.
type pollBackoff struct {
	mu     sync.Mutex
	length time.Duration // guarded by mu

	until atomic.Int64 // nanoseconds since start; stored with mu held
}

const (
	longSlice     = time.Millisecond // no party of an exchange keeps a processor so long
	minBackoff    = 10 * time.Millisecond
	maxBackoff    = time.Second
	backoffMemory = 50 * time.Millisecond // how long after its end a back-off still was too short
)

// backoff is that of this process.
var backoff pollBackoff

// extend begins a back-off, because a processor that was yielded came back only
// now.
func (b *pollBackoff) extend(now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch until := time.Duration(b.until.Load()); {
	case now < until:
		return // another poll was delayed by the same time slice
	case b.length > 0 && now < until+backoffMemory:
		b.length = min(4*b.length, maxBackoff)
	default:
		b.length = minBackoff
	}
	b.until.Store(int64(now + b.length))
}

// A yieldPolicy decides when a poll first lets other goroutines run, before it
// keeps one of the runtime's processors: those that the last frame was for, and one
// that waits for descriptors. As a yield costs a microsecond or two, and often
// wakes a thread for nothing, it becomes rarer while no goroutine makes use of it.
type yieldPolicy struct {
	last    time.Duration // when a poll last yielded
	skip    int           // polls to come without a yield
	penalty int           // about what the next yield for nothing sets skip to
}

const (
	maxYieldSkip = 1023
	yieldTime    = 10 * time.Millisecond // the longest without a yield, as long as there are polls
	otherRan     = 5 * time.Microsecond  // how long a yield takes if another goroutine runs
)

// gosched yields to other goroutines if it is time to.
func (y *yieldPolicy) gosched(now time.Duration) {
	if y.skip > 0 && now-y.last < yieldTime {
		y.skip--
		return
	}
	runtime.Gosched()
	y.last = time.Since(start)
	if y.last-now > otherRan {
		y.penalty /= 2 // not 0: waking a thread can take as long
	} else {
		y.penalty = min(2*y.penalty+1, maxYieldSkip)
	}
	y.skip = y.penalty
}
