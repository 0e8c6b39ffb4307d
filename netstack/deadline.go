// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
	"time"
)

// A deadline is a channel that is closed while the deadline has passed. The
// zero value is not usable; see makeDeadline. It has its own implementation
// because this module imports no internal package of the SDK.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer   // guarded by mu; nil if none is running
	ch    chan struct{} // guarded by mu
}

func makeDeadline() deadline { return deadline{ch: make(chan struct{})} }

// set changes the deadline. Calls that wait already observe the change.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.ch // the timer has fired: wait until it has closed the channel
	}
	d.timer = nil
	passed := isDone(d.ch)
	if t.IsZero() {
		if passed {
			d.ch = make(chan struct{})
		}
		return
	}
	if dur := time.Until(t); dur > 0 {
		if passed {
			d.ch = make(chan struct{})
		}
		ch := d.ch
		d.timer = time.AfterFunc(dur, func() { close(ch) })
		return
	}
	if !passed {
		close(d.ch)
	}
}

// done returns the channel to wait for.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ch
}

func isDone(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
