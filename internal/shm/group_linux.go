// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A Group is Ends in one process. Who polls for one of them looks after others
// too, whose receives sleep: so in an exchange between them one goroutine does for
// all, and none has to be woken. There is no more than one such leader at a time.
//
// A nil Group has no members.
type Group struct {
	// leader stays it while frames of its own or of others are dealt with. Only its
	// own receive makes an End the leader, and only that or its HandBack ends it.
	leader atomic.Pointer[End]

	mu     sync.Mutex
	asleep []*End // guarded by mu; those that may be looked after, the longest quiet first
}

// maxAsleep bounds what one look costs.
const maxAsleep = 8

// Join makes e one of g. It is to be called before the first receive; from then on
// [End.AwaitFrame] is the only one that may wait. owner is for who is told about e by
// another End.
func (e *End) Join(g *Group, owner any) { e.group, e.owner = g, owner }

// Owner returns what Join was given.
func (e *End) Owner() any { return e.owner }

// lead makes e the leader if there is none.
func (g *Group) lead(e *End) {
	if g != nil {
		g.leader.CompareAndSwap(nil, e)
	}
}

// look returns an End that has frames, of those that leader looks after.
func (g *Group) look(leader *End) *End {
	if g == nil || g.leader.Load() != leader {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := 0; i < len(g.asleep); {
		e := g.asleep[i]
		if !e.reading.TryLock() {
			i++
			continue
		}
		streams, news := e.streams, false
		if streams {
			e.sleepAlone()
		} else {
			news = e.lookAfter()
		}
		e.reading.Unlock()
		switch {
		case streams:
			g.asleep = slices.Delete(g.asleep, i, i+1)
		case news:
			g.asleep = append(slices.Delete(g.asleep, i, i+1), e) // the next time others come first
			return e
		default:
			i++
		}
	}
	return nil
}

// lookAfter reports whether e, whose receive sleeps, has news, and has the other
// side not ring; reading is held.
func (e *End) lookAfter() bool {
	if e.closed.Load() {
		return false // its receive wakes up
	}
	if e.rx.sleeps.Load() != 0 {
		e.rx.sleeps.Store(0)
	}
	ok, err := e.rx.ready()
	return ok || err != nil
}

// takeTurns returns every other time an End that e looks after and that has frames,
// whether e has any or not.
func (e *End) takeTurns() *End {
	if e.group == nil {
		return nil
	}
	if e.othersFirst = !e.othersFirst; e.othersFirst {
		return e.group.look(e)
	}
	return nil
}

// HandBack has those that e looks after sleep by themselves again. Who is in a group
// calls it before doing anything that can take long.
func (e *End) HandBack() {
	g := e.group
	if g == nil || g.leader.Load() != e {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leader.Store(nil)
	g.asleep = slices.DeleteFunc(g.asleep, func(x *End) bool {
		x.reading.Lock()
		defer x.reading.Unlock()
		return x.sleepAlone() // who is being woken is not found once more
	})
}

// sleepAlone has the other side of e, whose receive sleeps, ring again. If there is
// something already, it wakes the receive and returns true; reading is held.
func (e *End) sleepAlone() (woken bool) {
	if e.closed.Load() {
		return false
	}
	e.rx.sleeps.Store(1)
	ok, err := e.rx.ready()
	if !ok && err == nil {
		return false
	}
	e.rx.sleeps.Store(0)
	e.nudge()
	return true
}

// sleep adds e to those that may be looked after; awaiting is held.
func (g *Group) sleep(e *End) {
	if g == nil || !e.mayPoll() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asleep) == maxAsleep {
		x := g.asleep[0]
		x.reading.Lock()
		x.sleepAlone()
		x.reading.Unlock()
		g.asleep = slices.Delete(g.asleep, 0, 1)
	}
	g.asleep = append(g.asleep, e)
}

// wake undoes sleep.
func (g *Group) wake(e *End) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.asleep, e); i >= 0 {
		g.asleep = slices.Delete(g.asleep, i, i+1)
	}
}

// nudge wakes e's receive, which sleeps, without its bell: the other side has that
// too, and can make whoever rings it wait.
func (e *End) nudge() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.hungUp.Load() && !e.closed.Load() { // else it has been woken for good
		e.nudged = true
		_ = e.rxBell.file.SetReadDeadline(aLongTimeAgo) // fails only when closed
	}
}

// nudgedAwake reports whether there was a nudge, and forgets it.
func (e *End) nudgedAwake() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.nudged {
		return false
	}
	e.nudged = false
	if !e.hungUp.Load() && !e.closed.Load() {
		_ = e.rxBell.file.SetReadDeadline(e.rxDeadline.time())
	}
	return true
}
