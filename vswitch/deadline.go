// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"sync"
	"sync/atomic"
	"time"
)

// A deadline is a time after which waiting ends, in the manner of net.Pipe's:
// a timer while there is one in the future, and no goroutine.
type deadline struct {
	onExpire func() // called, without mu, when the deadline has passed; may be nil

	past atomic.Bool // the deadline has passed; written with mu held

	mu      sync.Mutex
	set     uint64        // guarded by mu; how often the deadline was set
	timer   *time.Timer   // guarded by mu; nil if none is armed
	expired chan struct{} // guarded by mu; closed when the deadline has passed
}

// setTo moves the deadline to t, for ever if t is zero.
func (d *deadline) setTo(t time.Time) {
	d.mu.Lock()
	d.set++
	d.stopTimer()
	if d.past.Load() {
		d.expired = nil
		d.past.Store(false)
	}
	set, left := d.set, time.Duration(1)
	if !t.IsZero() {
		if left = time.Until(t); left > 0 {
			d.timer = time.AfterFunc(left, func() { d.expire(set) })
		}
	}
	d.mu.Unlock()
	if left <= 0 {
		d.expire(set)
	}
}

// expire ends all waits, unless the deadline was set again.
func (d *deadline) expire(set uint64) {
	d.mu.Lock()
	current := d.set == set && !d.past.Load()
	if current {
		d.past.Store(true)
		close(d.channel())
	}
	d.mu.Unlock()
	if current && d.onExpire != nil {
		d.onExpire()
	}
}

// wait returns a channel that is closed when the deadline passes. It stays the
// same when the deadline is moved before.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channel()
}

// channel is wait with mu held.
func (d *deadline) channel() chan struct{} {
	if d.expired == nil {
		d.expired = make(chan struct{})
	}
	return d.expired
}

// stop disarms the timer.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopTimer()
}

// stopTimer is stop with mu held.
func (d *deadline) stopTimer() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
