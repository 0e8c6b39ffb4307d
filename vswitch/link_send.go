// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
)

// offload implements egress.
func (e *linkEndpoint) offload() link.Offload { return e.link.Caps().Offload }

// offer implements egress.
func (e *linkEndpoint) offer(o outgoing) (n int, cause dropCause) {
	if e.gone() {
		return 0, outRefused
	}
	conf := e.port.conf.Load()
	if conf.blocked && !o.b.probe {
		return 0, outBlocked
	}
	headDrop := conf.Policy == HeadDrop
	q := &e.queue
	if !headDrop && !q.draining.Load() {
		return e.send(o)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.draining.Load() {
		if n, cause = e.send(o); n == len(o.items) || cause != outFull {
			return n, cause
		}
		o = o.from(n)
	}
	switch {
	case q.closed:
		return n, outClosed
	case !headDrop:
		return n, outFull // what was queued under another policy goes first
	}
	o.b.keep(o.items, o.as)
	if pool.LeakMode && q.owner == "" {
		q.owner = e.queueOwner()
	}
	for _, i := range o.items {
		f := queuedFrame{o.b.ref(i, o.as, o.give), o.b.header(i, o.as)}
		if evicted := q.push(f, conf.Queue); evicted.buf != nil {
			q.drop(evicted)
			e.port.outNow().dropped[outHeadDrop].Add(1)
		}
	}
	if !q.draining.Load() {
		q.draining.Store(true)
		e.running.Go(e.drain)
	}
	return n + len(o.items), outFull
}

// send sends o without waiting.
func (e *linkEndpoint) send(o outgoing) (n int, cause dropCause) {
	t := o.tx()
	n, cause = e.sendTx(t)
	o.done(t)
	return n, cause
}

// sendTx sends t without waiting, counts the frames that were sent, and returns
// why the next one was not.
func (e *linkEndpoint) sendTx(t link.Tx) (n int, cause dropCause) {
	if e.gone() {
		return 0, outRefused
	}
	n, _, err := e.link.Send(t)
	if n > 0 {
		e.sent.Add(uint64(n))
		bytes := 0
		for _, f := range t.Frames[:n] {
			bytes += len(f)
		}
		out := e.port.outNow()
		out.frames.Add(uint64(n))
		out.bytes.Add(uint64(bytes))
	}
	if err == nil {
		return n, cause
	}
	if cause = e.causeOf(err); cause == outFull {
		e.rateMu.Lock()
		e.rate.update(time.Now(), e.sent.Load()) // full as it was then: it has taken what was sent since
		e.rateMu.Unlock()
	}
	return n, cause
}

// causeOf returns what a failure to send means for the frame.
func (e *linkEndpoint) causeOf(err error) dropCause {
	if err == link.ErrFull {
		return outFull
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	switch {
	case errors.Is(err, net.ErrClosed):
		return outClosed
	case errno == syscall.EMSGSIZE:
		return outTooLong
	case errno == syscall.ENOBUFS || errno == syscall.ENOMEM:
		return outNoBuffer
	case errno == syscall.ECONNREFUSED || errno == syscall.ENOTCONN || errno == syscall.EPIPE, errors.Is(err, link.ErrHangup):
		// The peer has closed its data socket, and the kernel has forgotten the
		// connection; or it is about to, and has shut it down for reading. Nothing
		// brings it back, but another link in its place.
		if !e.redials {
			e.peerGone.Store(true)
		}
	}
	return outRefused
}

// await implements egress.
func (e *linkEndpoint) await(w *waiter, left time.Duration) waitResult {
	select {
	case e.waitSlot <- struct{}{}:
	default:
		// Another sender waits here already, with a time of its own.
		start := time.Now()
		expired := w.startTimer(left)
		defer w.stopTimer()
		select {
		case e.waitSlot <- struct{}{}:
			if left != Forever {
				left = max(left-time.Since(start), 1)
			}
		case <-expired:
			return waitTimeout
		case <-e.closing:
			return waitRoom
		case <-w.done:
			return waitAborted
		case <-w.expired:
			return waitAborted
		}
	}
	defer func() { <-e.waitSlot }()
	return e.awaitRoom(w, left)
}

// abortLatency is how long a sender may be kept from noticing that it should end.
const abortLatency = 20 * time.Millisecond

// awaitRoom waits until the link has room again; waitSlot is held.
func (e *linkEndpoint) awaitRoom(w *waiter, left time.Duration) waitResult {
	var until time.Time
	if left != Forever {
		until = time.Now().Add(left)
	}
	if e.link.SetWriteDeadline(until) != nil {
		return waitRoom // closed: the next send will say so
	}
	if left == Forever || left > abortLatency {
		defer e.abortOn(w)()
	}
	err := e.link.AwaitRoom()
	switch {
	case err == nil, e.gone(), errors.Is(err, net.ErrClosed):
		return waitRoom // if nothing is taken any more, the next send will say so
	case errors.Is(err, os.ErrDeadlineExceeded) && (left == Forever || w.aborting()):
		return waitAborted
	}
	return waitTimeout
}

// abortOn lets AwaitRoom end when the sender does not want to wait any more. stop
// must be called when it has ended.
func (e *linkEndpoint) abortOn(w *waiter) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	done, expired := w.done, w.expired
	go func() {
		defer close(ended)
		select {
		case <-done:
		case <-expired:
		case <-over:
			return
		}
		_ = e.link.SetWriteDeadline(deadline.Past()) // fails only if closed, which wakes AwaitRoom too
	}()
	return func() {
		close(over)
		<-ended
	}
}

// idle implements egress. A link does not say what the other side has left to read:
// that follows from when it was full, and how fast it takes frames.
func (e *linkEndpoint) idle() bool {
	e.rateMu.Lock()
	defer e.rateMu.Unlock()
	return e.rate.takenSince(time.Now()) >= leastQueue
}

// leastQueue is how many frames a full link holds at least.
const leastQueue = DefaultQueue / 2

// queued implements egress.
func (e *linkEndpoint) queued() int {
	e.queue.mu.Lock()
	defer e.queue.mu.Unlock()
	return e.queue.n
}
