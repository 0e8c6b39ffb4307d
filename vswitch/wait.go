// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"os"
	"time"
)

// A waitResult says why waiting for room has ended.
type waitResult int

const (
	waitRoom    waitResult = iota // there may be room
	waitTimeout                   // the time is over
	waitAborted                   // the sender does not want to wait any more
)

// A waiter says how a sender waits for room while one batch is forwarded.
type waiter struct {
	try     bool            // not at all: forwarding stops with link.ErrFull
	done    <-chan struct{} // closed when the sender ends; may be nil
	expired <-chan struct{} // closed when the sender's time is over; may be nil
	onBlock func()          // called once, before it waits or does what takes long; may be nil
	limit   func()          // called once, before it waits; may be nil

	waited time.Duration // so far
	full   *endpoint     // where try stopped last
	timer  *time.Timer
}

// reset makes w one that waits for every sender, with nothing waited so far.
func (w *waiter) reset() { *w = waiter{timer: w.timer} }

// block calls onBlock and limit.
func (w *waiter) block() {
	w.release()
	if w.limit != nil {
		w.limit()
		w.limit = nil
	}
}

// release calls onBlock.
func (w *waiter) release() {
	if w.onBlock != nil {
		w.onBlock()
		w.onBlock = nil
	}
}

// startTimer returns a channel that receives after d, or nil for Forever;
// stopTimer must be called afterwards.
func (w *waiter) startTimer(d time.Duration) <-chan time.Time {
	if d == Forever {
		return nil
	}
	if w.timer == nil {
		w.timer = time.NewTimer(d)
	} else {
		w.timer.Reset(d)
	}
	return w.timer.C
}

func (w *waiter) stopTimer() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// await waits until ch is closed, at most for the given time.
func (w *waiter) await(ch <-chan struct{}, left time.Duration) waitResult {
	expired := w.startTimer(left)
	defer w.stopTimer()
	select {
	case <-ch:
		return waitRoom
	case <-expired:
		return waitTimeout
	case <-w.done:
		return waitAborted
	case <-w.expired:
		return waitAborted
	}
}

// aborting reports whether the sender does not want to wait any more.
func (w *waiter) aborting() bool {
	select {
	case <-w.done:
	case <-w.expired:
	default:
		return false
	}
	return true
}

// err returns why the sender does not want to wait any more.
func (w *waiter) err() error {
	select {
	case <-w.done:
		return net.ErrClosed
	default:
		return os.ErrDeadlineExceeded
	}
}
