// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/link"
)

// A linkEndpoint is an endpoint on a [link.Link].
//
// One goroutine serves it: it receives frames and forwards them, and ends the
// endpoint when the link has ended. See link_receive.go.
type linkEndpoint struct {
	endpoint
	sw   *Switch
	open func(*endpoint) (link.Link, error) // returns link once the port is known; called with sw.mu held

	link     link.Link       // nil until attached
	linkDone <-chan struct{} // of link
	redials  bool            // link comes up again when it is down
	logged   atomic.Int32    // linkDown, linkUp or 0: what the log says of link
	closing  chan struct{}   // closed by close
	done     chan struct{}   // closed when all has ended
	cause    error           // written before done is closed

	limitDrain func()        // starts awaitDrained, once
	drained    chan struct{} // closed when no more frames are taken from the link

	rateMu sync.Mutex
	rate   rateMeter // guarded by rateMu; between moments at which the link was full

	sent     atomic.Uint64 // frames
	peerGone atomic.Bool   // sends are refused for good
	waitSlot chan struct{} // one slot; held by the goroutine that waits for room

	queue   sendQueue
	running sync.WaitGroup // awaitDrained, and drain, which is added with queue.mu held
}

var _ egress = (*linkEndpoint)(nil)

func newLinkEndpoint(sw *Switch, open func(*endpoint) (link.Link, error)) *linkEndpoint {
	e := &linkEndpoint{
		sw: sw, open: open,
		closing: make(chan struct{}), done: make(chan struct{}), drained: make(chan struct{}),
		waitSlot: make(chan struct{}, 1),
	}
	e.limitDrain = sync.OnceFunc(func() { e.running.Go(e.awaitDrained) })
	e.egress = e
	e.ended = e.close
	return e
}

// attached implements egress.
func (e *linkEndpoint) attached(*endpoint) error {
	l, err := e.open(&e.endpoint)
	if err != nil {
		return err
	}
	e.link, e.linkDone, e.redials = l, l.Done(), l.Caps().State != nil
	e.sw.running.Add(1)
	return nil
}

// finish ends the endpoint when no more frames are taken from the link, for the
// reason err, and waits for its goroutines.
func (e *linkEndpoint) finish(err error) {
	defer e.sw.running.Done()
	close(e.drained)
	e.hangup(err)
	e.lines.Wait()
	e.running.Wait()
	close(e.done)
}

// drainLimit bounds how long frames are forwarded that came before the link
// ended.
const drainLimit = time.Second

// awaitDrained ends the endpoint if the receiver is kept from that for too long
// after the end of the link. It runs once the receiver has had to wait for room.
func (e *linkEndpoint) awaitDrained() {
	select {
	case <-e.linkDone:
	case <-e.closing:
		return
	}
	timer := time.NewTimer(drainLimit)
	defer timer.Stop()
	select {
	case <-e.drained:
	case <-e.closing:
	case <-timer.C:
		e.hangup(e.link.Err())
	}
}

// close releases what the endpoint holds, and with it ends its goroutines.
func (e *linkEndpoint) close(cause error) {
	e.cause = cause
	close(e.closing)
	if errors.Is(cause, link.ErrViolation) {
		e.sw.serve.violations.Add(1)
	}
	unread, err := e.link.Close()
	if err != nil {
		e.sw.cfg.Logger.Warn("cannot close a link", append(e.logAttrs(), "error", err)...)
	}
	queued := e.queue.close()
	e.port.outNow().dropped[outClosed].Add(uint64(queued))
	if unread > 0 {
		// Its sender counts them as sent.
		e.sw.forwarding.RLock()
		in := e.port.inNow()
		in.frames.Add(uint64(unread))
		in.dropped[inClosed].Add(uint64(unread))
		e.sw.forwarding.RUnlock()
	}
}

// gone reports whether the other side takes nothing any more. When a datagram
// socket has been closed, sending to it fails with ECONNREFUSED, and the kernel
// then also throws away what that socket had sent and we have not received yet.
// So nothing is sent after the end of the link.
func (e *linkEndpoint) gone() bool {
	if e.peerGone.Load() {
		return true
	}
	select {
	case <-e.linkDone:
		return true
	default:
		return false
	}
}
