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

// Busy polling. To sleep until the bell is rung costs both sides some microseconds
// where processors are busy, and tens where they are virtual and idle; a question
// and its answer through a switch take four such turns. So a receive that expects
// an answer at any moment does not sleep at once: it looks again and again for up
// to maxPoll, and between looks gives its processor to any other process that
// wants it. Those are the other parties first of all, of which there can be more
// than processors. (A stream of frames in one direction is nothing of that kind:
// it gains when its receiver sleeps, because frames then come in larger batches.)
//
// It does so only if
//
//   - the last receive brought the answer to something, and both were short,
//   - it leaves the runtime a processor for everybody else,
//   - it was of use lately: after polls in vain there are ever fewer, and
//   - nobody computes on the processors: one that is given away to such comes back
//     when its time slice is over.
const (
	maxPoll     = 200 * time.Microsecond
	maxExchange = 4096 // bytes in both rings: a frame or two of 1500 each way
	maxPass     = 63
	maxFavors   = 63 // polls in a row that found frames of others only
)

// polls is how many go on in this process, or are just being refused.
var polls atomic.Int32

// A poller decides about the polls of one End.
type poller struct {
	near bool // the other side is in this process: the runtime wakes it sooner

	vain int // pass after the next poll in vain
	pass int // so many waits without a poll

	favors int // polls that found frames of others since the last that found e's

	courtesy courtesy
}

// SameProcess tells that the other side is in this process too. It is to be called
// before the first receive.
func (e *End) SameProcess() { e.poller.near = true }

// mayPoll reports whether polls make sense for e at all; awaiting is held.
func (e *End) mayPoll() bool { return e.expects && !e.poller.near }

// poll looks for a frame of e's, or of another End of its group, for a while, and
// returns whose there is; nil means that it is time to sleep. awaiting is held.
func (e *End) poll() *End {
	p := &e.poller
	if !e.mayPoll() {
		return nil
	}
	if p.pass > 0 {
		p.pass--
		return nil
	}
	begun := time.Since(start)
	if begun < time.Duration(abstain.until.Load()) {
		return nil
	}
	defer polls.Add(-1)
	if polls.Add(1) >= int32(runtime.GOMAXPROCS(0)) {
		return nil
	}
	e.group.lead(e)
	p.courtesy.offer(begun)
	begun = time.Since(start) // what ran meanwhile is this process's
	for now := begun; now-begun <= maxPoll; {
		x := e.group.look(e)
		if x == nil && e.hasNews() {
			x = e
		}
		switch {
		case x == e:
			p.vain, p.favors = 0, 0
			return x
		case x != nil && p.favors < maxFavors:
			p.favors++
			return x
		case x != nil: // what passes there is nothing that e has a part in
			p.favors = 0
			return nil
		}
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		gaveAway := now
		if now = time.Since(start); now-gaveAway > longSlice {
			abstain.more(now)
		}
	}
	p.pass, p.vain = p.vain, min(2*p.vain+1, maxPass)
	return nil
}

// hasNews reports whether it is time to look for what there is.
func (e *End) hasNews() bool {
	e.reading.Lock()
	defer e.reading.Unlock()
	if e.closed.Load() {
		return true
	}
	ok, err := e.rx.ready()
	return ok || err != nil
}

// An abstinence keeps a process from polls while others compute on the processors.
// One of those may do so at any time, for a moment; so it begins short, and becomes
// longer each time that it turns out to have been too short.
type abstinence struct {
	mu     sync.Mutex
	length time.Duration // guarded by mu

	until atomic.Int64 // nanoseconds since start; stored with mu held
}

const (
	longSlice     = time.Millisecond // none of the parties of an exchange keeps a processor so long
	minAbstinence = 10 * time.Millisecond
	maxAbstinence = time.Second
	probation     = 50 * time.Millisecond
)

var abstain abstinence

// more begins an abstinence, as it took until now to get back a processor that was
// given away.
func (a *abstinence) more(now time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch until := time.Duration(a.until.Load()); {
	case now < until:
		return // another poll was delayed by the same
	case a.length > 0 && now < until+probation:
		a.length = min(4*a.length, maxAbstinence)
	default:
		a.length = minAbstinence
	}
	a.until.Store(int64(now + a.length))
}

// A courtesy lets other goroutines run before a poll keeps one of the runtime's
// processors: those that the last frame was for, and one to wait for descriptors.
// As the offer costs a microsecond or two, and often wakes a thread for nothing, it
// is made ever less often while nobody takes it.
type courtesy struct {
	last time.Duration // when it was made
	rare int           // rest after the next one that nobody takes
	rest int           // so many polls without
}

const (
	maxRest  = 1023
	restTime = 10 * time.Millisecond // the longest without, as long as there are polls
	ranOther = 5 * time.Microsecond  // what it takes if somebody runs
)

func (c *courtesy) offer(now time.Duration) {
	if c.rest > 0 && now-c.last < restTime {
		c.rest--
		return
	}
	runtime.Gosched()
	c.last = time.Since(start)
	if c.last-now > ranOther {
		c.rare /= 2 // not 0: a thread that was woken can take as long
	} else {
		c.rare = min(2*c.rare+1, maxRest)
	}
	c.rest = c.rare
}
