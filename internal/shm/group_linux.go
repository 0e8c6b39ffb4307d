// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"slices"
	"sync"
)

// A Group is Ends in one process. Who polls for one of them looks after others
// too, whose receives sleep: so in an exchange between them one goroutine does for
// all, and none has to be woken. There is no more than one such leader at a time.
//
// A nil Group has no members.
type Group struct {
	mu     sync.Mutex
	leader *End   // guarded by mu; stays it while its frames are dealt with
	asleep []*End // guarded by mu; those that wait for their bell and may be looked after
}

// maxAsleep bounds what one look costs.
const maxAsleep = 8

// Join makes e one of g. It is to be called before the first receive. owner is for
// who is told about e by another End's [End.AwaitFrame].
func (e *End) Join(g *Group, owner any) { e.group, e.owner = g, owner }

// Owner returns what Join was given.
func (e *End) Owner() any { return e.owner }

// lead makes e the leader if there is none.
func (g *Group) lead(e *End) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leader == nil {
		g.leader = e
	}
}

// look returns an End that has frames, of those that leader looks after.
func (g *Group) look(leader *End) (with *End) {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leader != leader {
		return nil
	}
	g.asleep = slices.DeleteFunc(g.asleep, func(e *End) bool {
		if with != nil || !e.reading.TryLock() {
			return false
		}
		defer e.reading.Unlock()
		if e.streams {
			e.wakeByBell()
			return true
		}
		if e.lookAfter() {
			with = e
		}
		return false
	})
	return with
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

// HandBack has those that e looks after be woken by their bells again. Who is in a
// group calls it before doing anything that can take long.
func (e *End) HandBack() {
	g := e.group
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.leader != e {
		return
	}
	g.leader = nil
	for _, x := range g.asleep {
		x.reading.Lock()
		x.wakeByBell()
		x.reading.Unlock()
	}
}

// wakeByBell has the other side of e, whose receive sleeps, ring again, or rings
// itself if there is something already; reading is held.
func (e *End) wakeByBell() {
	if e.closed.Load() {
		return
	}
	e.rx.sleeps.Store(1)
	if ok, err := e.rx.ready(); (ok || err != nil) && e.rx.sleeps.Swap(0) != 0 {
		e.rxBell.ring()
	}
}

// sleep adds e to those that may be looked after; awaiting is held.
func (g *Group) sleep(e *End) {
	if g == nil || !e.mayPoll() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.asleep) < maxAsleep {
		g.asleep = append(g.asleep, e)
	}
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
