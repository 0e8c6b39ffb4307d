// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package deadline implements the deadlines of links that live in this process
// and therefore cannot use those of the runtime poller. It also holds the one
// value that stands for a deadline in the past.
//
//	var read deadline.Timer
//	...
//	func (l *Link) SetReadDeadline(t time.Time) error { read.Set(t); return nil }
//	...
//	select {
//	case <-arrived:
//	case <-read.Done():
//		return os.ErrDeadlineExceeded
//	}
//
// Links on descriptors set the deadlines of their files instead and need only
// [Past].
package deadline

import (
	"sync"
	"sync/atomic"
	"time"
)

// Past returns a deadline that has passed. To wake the calls that wait on a
// connection, set it.
func Past() time.Time { return time.Unix(1, 0) }

// Monotonic returns t with a reading of the monotonic clock, unless it is zero. A
// time without one, such as of [time.Unix], says something else after the clock of
// the system was set; so a deadline is kept as it was meant when it was given, as
// those of package net are.
func Monotonic(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	now := time.Now()
	return now.Add(t.Sub(now))
}

// A Timer tells waiting calls that a deadline has passed, in the manner of
// [net.Pipe]: it holds a timer while the deadline is in the future, and no
// goroutine. The zero value is a Timer without a deadline. Its methods may be
// called from any goroutine.
type Timer struct {
	// OnExpire, if not nil, is called each time that a deadline passes, without
	// a lock of the Timer held. It must be set before the first call of Set.
	OnExpire func()

	passed atomic.Bool // written with mu held

	mu    sync.Mutex
	calls uint64        // guarded by mu; of Set
	timer *time.Timer   // guarded by mu; nil if none is armed
	done  chan struct{} // guarded by mu; closed when the deadline has passed
}

// Set moves the deadline to t. The zero time means no deadline. A deadline that
// is not in the future has passed when Set returns.
func (d *Timer) Set(t time.Time) {
	d.mu.Lock()
	d.calls++
	d.stopTimer()
	if d.passed.Load() {
		d.done = nil
		d.passed.Store(false)
	}
	call, left := d.calls, time.Duration(1)
	if !t.IsZero() {
		if left = time.Until(t); left > 0 {
			d.timer = time.AfterFunc(left, func() { d.expire(call) })
		}
	}
	d.mu.Unlock()
	if left <= 0 {
		d.expire(call)
	}
}

// expire ends all waits, unless the deadline was moved after the given call of
// Set.
func (d *Timer) expire(call uint64) {
	d.mu.Lock()
	current := d.calls == call && !d.passed.Load()
	if current {
		d.passed.Store(true)
		close(d.doneLocked())
	}
	d.mu.Unlock()
	if current && d.OnExpire != nil {
		d.OnExpire()
	}
}

// Passed reports whether the deadline has passed. It takes no lock.
func (d *Timer) Passed() bool { return d.passed.Load() }

// Done returns a channel that is closed when the deadline passes. The channel
// stays the same when the deadline is moved before that; after a deadline has
// passed, the next call of Set replaces it.
func (d *Timer) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doneLocked()
}

// doneLocked is Done with d.mu held.
func (d *Timer) doneLocked() chan struct{} {
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

// Stop releases the timer: a deadline in the future does not pass any more.
func (d *Timer) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopTimer()
}

// stopTimer is Stop with d.mu held. A timer that has fired already finds that
// calls has changed, or is the one that expires now.
func (d *Timer) stopTimer() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
