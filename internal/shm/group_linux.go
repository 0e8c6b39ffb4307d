// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
)

// A Group is Ends in one process. While one of them polls, it is the group's leader
// and polls for the others too, whose receives sleep. So one goroutine serves all
// directions of an exchange between them, and none has to be woken.
//
// For the Ends that the leader polls, notifications are suppressed: their
// need-wakeup flag is 0, and the other side does not ring. This invariant keeps
// frames from being left in a ring:
//
//	The receive of an End of the group that sleeps has its need-wakeup flag set,
//	or is being woken; or else its notifications are suppressed, and then there is
//	a leader, which polls the End again within a bound, or releases it.
//
// These rules keep it:
//
//  1. Notifications are suppressed in [Group.poll] alone, by the leader, while mu
//     is held, and only those of Ends in asleep.
//  2. The leader does not sleep. Its polls end after maxPoll; a [link.Receiver] that
//     it calls must call release before it does anything that can wait; and it
//     releases the others itself before it sleeps or serves a stream.
//  3. To release them is to set the need-wakeup flag of each, then to look at its
//     ring once more, and to wake its receive if there is a frame, all while mu is
//     held.
//  4. An End that leaves asleep is resumed like that, or its receive is awake.
//
// A nil Group has no members.
type Group struct {
	// leader stays the leader while frames of its own or of others are dealt with.
	// An End becomes it in its own receive alone, and stops being it, while mu is
	// held, in that or in its own release.
	leader atomic.Pointer[End]

	mu     sync.Mutex
	asleep []*End // guarded by mu; those that the leader may poll, the longest without frames first
}

// maxAsleep bounds what one poll costs.
const maxAsleep = 8

// lead makes e the leader if there is none.
func (g *Group) lead(e *End) {
	if g != nil {
		g.leader.CompareAndSwap(nil, e)
	}
}

// poll returns an End that has frames, of those that leader polls for, and
// suppresses the notifications of those that it has looked at. An End whose frames
// would keep the leader for long is woken instead; the receive that follows for one
// that is returned brings no more than was looked at.
func (g *Group) poll(leader *End) *End {
	if g == nil || g.leader.Load() != leader {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leader.Load() != leader {
		return nil // released by its goroutine of before a hand-over
	}
	for i := 0; i < len(g.asleep); {
		e := g.asleep[i]
		if !e.rx.mu.TryLock() {
			i++ // its receive is awake, or a receiver is taking frames
			continue
		}
		costly, found := e.rx.exchange.streams, false
		if !costly {
			found = e.rx.suppress()
			costly = found && e.rx.costly()
			e.rx.seenOnly = found
		}
		if costly {
			e.rx.resume() // and wakes it, if there is something
		}
		e.rx.mu.Unlock()
		switch {
		case costly:
			g.asleep = slices.Delete(g.asleep, i, i+1)
		case found:
			g.asleep = append(slices.Delete(g.asleep, i, i+1), e) // the next time others come first
			return e
		default:
			i++
		}
	}
	return nil
}

// release ends the leadership of e, if it is the leader.
func (g *Group) release(e *End) {
	if g == nil || g.leader.Load() != e {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader.Store(nil)
	g.asleep = slices.DeleteFunc(g.asleep, func(x *End) bool {
		x.rx.mu.Lock()
		defer x.rx.mu.Unlock()
		return x.rx.resume() // one that is being woken must not be found once more
	})
}

// enter adds e, whose receive is about to sleep, to those that the leader may poll.
// e.rx.waitMu is held.
func (g *Group) enter(e *End) {
	if g == nil || !e.poller.mayPoll() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asleep) == maxAsleep {
		x := g.asleep[0]
		x.rx.mu.Lock()
		x.rx.resume()
		x.rx.mu.Unlock()
		g.asleep = slices.Delete(g.asleep, 0, 1)
	}
	g.asleep = append(g.asleep, e)
}

// leave undoes enter; the receive of e is awake.
func (g *Group) leave(e *End) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.asleep, e); i >= 0 {
		g.asleep = slices.Delete(g.asleep, i, i+1)
		e.rx.mu.Lock()
		e.rx.suppressed = false
		e.rx.mu.Unlock()
	}
}

// suppress has the other side not ring, and reports whether there is something to
// find. mu and that of the group are held.
func (r *receiver) suppress() (found bool) {
	if r.life.closed.Load() {
		return false // its receive wakes up
	}
	if !r.suppressed {
		r.suppressed = true
		r.ring.frameWakeup.Store(0)
	}
	ok, err := r.ring.ready()
	return ok || err != nil
}

// costly reports whether what has come is more than an exchange brings, or a GSO
// frame, of which few bytes can become many frames: a leader leaves that to the
// receive of its own. mu is held.
func (r *receiver) costly() bool {
	c := r.ring // a copy, to look ahead
	if c.end-c.pos > maxExchange {
		return true
	}
	for c.pos != c.end {
		n, h, err := c.next()
		if err != nil {
			return false // as the receive is going to find out
		}
		if h.GSOType != frame.GSONone {
			return true
		}
		c.pos += slotLen(n)
	}
	return false
}

// resume has the other side ring again, if notifications are suppressed. If there is
// something to find already, it wakes the receive and returns true. mu and that of
// the group are held.
func (r *receiver) resume() (woken bool) {
	if !r.suppressed || r.life.closed.Load() {
		return false
	}
	r.suppressed = false
	r.ring.frameWakeup.Swap(1)
	ok, err := r.ring.ready()
	if !ok && err == nil {
		return false
	}
	r.ring.frameWakeup.Store(0)
	r.wake()
	return true
}
