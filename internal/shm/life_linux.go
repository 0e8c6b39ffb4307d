// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/internal/deadline"
)

// A life is the state that both directions of an End have in common: in use, hung
// up, or closed; and perhaps broken. There is no way back from any of these.
type life struct {
	broken atomic.Pointer[error] // how the other side was first found to have broken the rules

	mu     sync.Mutex  // orders changes of deadlines against those of the state
	closed atomic.Bool // written with mu held
	hungUp atomic.Bool // written with mu held
}

// fail notes that the other side broke the rules and returns the first reason.
func (l *life) fail(err error) error {
	l.broken.CompareAndSwap(nil, &err)
	return *l.broken.Load()
}

// err returns why the rings cannot be used any more, or nil.
func (l *life) err() error {
	switch broken := l.broken.Load(); {
	case l.closed.Load():
		return net.ErrClosed
	case broken != nil:
		return *broken
	}
	return nil
}

// over reports whether deadlines have no effect any more.
func (l *life) over() bool { return l.hungUp.Load() || l.closed.Load() }

// A sleeper is where the calls of one direction sleep: until the doorbell is rung,
// the deadline has passed, or wake is called.
//
// A goroutine is woken without its doorbell by a deadline in the past: a deadline
// needs no room, and the other side can fill the doorbell.
type sleeper struct {
	life     *life
	doorbell *doorbell
	deadline moment
	woken    bool // guarded by life.mu; wake was called, the doorbell's deadline is not deadline
}

// expire wakes the sleeping call for good; life.mu is held.
func (s *sleeper) expire() {
	_ = s.doorbell.file.SetReadDeadline(deadline.Past()) // fails only when closed, which wakes it too
}

func (s *sleeper) setDeadline(t time.Time) error {
	s.life.mu.Lock()
	defer s.life.mu.Unlock()
	switch {
	case s.life.closed.Load():
		return net.ErrClosed
	case s.life.hungUp.Load():
		return nil
	}
	s.deadline.set(t)
	if s.woken {
		return nil // wasWoken is going to set it
	}
	return s.doorbell.file.SetReadDeadline(t)
}

// wake wakes the sleeping call, which then calls wasWoken.
func (s *sleeper) wake() {
	s.life.mu.Lock()
	defer s.life.mu.Unlock()
	if !s.life.over() { // else it has been woken for good
		s.woken = true
		_ = s.doorbell.file.SetReadDeadline(deadline.Past()) // fails only when closed
	}
}

// wasWoken reports whether wake was called, and sets the deadline again.
func (s *sleeper) wasWoken() bool {
	s.life.mu.Lock()
	defer s.life.mu.Unlock()
	if !s.woken {
		return false
	}
	s.woken = false
	if !s.life.over() {
		_ = s.doorbell.file.SetReadDeadline(s.deadline.time())
	}
	return true
}

// A moment is when calls that wait are over. It is kept beside the doorbell's
// own, so that a call that need not wait makes no use of the doorbell.
type moment struct{ at atomic.Int64 } // nanoseconds since start; 0: none

// start is where deadlines are counted from, on the monotonic clock.
var start = time.Now()

func (d *moment) set(t time.Time) {
	var at int64
	if !t.IsZero() {
		at = int64(deadline.Monotonic(t).Sub(start))
		if at == 0 {
			at = -1
		}
	}
	d.at.Store(at)
}

// time returns the deadline as it was set.
func (d *moment) time() (t time.Time) {
	if at := d.at.Load(); at != 0 {
		t = start.Add(time.Duration(at))
	}
	return t
}

func (d *moment) past() bool {
	at := d.at.Load()
	return at != 0 && at <= int64(time.Since(start))
}
