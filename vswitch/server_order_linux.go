// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"slices"
	"sync"
	"time"

	"github.com/go-vde/sdk/internal/transport"
)

// A requestOrder is the connections of a listener whose requests have not been
// answered yet, and knows which came first.
type requestOrder struct {
	mu       sync.Mutex
	accepted uint64         // guarded by mu; connections so far
	pending  []*pendingConn // guarded by mu; without a request yet, the oldest first
	asking   []*pendingConn // guarded by mu; whose requests have come
}

// A pendingConn is a connection whose request has not come or not been answered
// yet.
type pendingConn struct {
	stream   *transport.Stream
	seq      uint64        // of all that were accepted
	evicted  bool          // closed to make room for others; guarded by requestOrder.mu
	answered chan struct{} // closed when the request has been answered, or will never come
}

// asked reports whether something has come that has not been read yet.
func (p *pendingConn) asked() bool { return p.stream.Unread() > 0 }

// add appends a connection. If there are limit pending ones, the oldest is closed
// and returned: it is the one most likely never to send anything, as a client
// sends its request at once.
func (o *requestOrder) add(stream *transport.Stream, limit int) (p, evicted *pendingConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending) >= limit {
		evicted = o.pending[0]
		o.pending = slices.Delete(o.pending, 0, 1)
		evicted.evicted = true
		evicted.stream.Close()
	}
	o.accepted++
	p = &pendingConn{stream: stream, seq: o.accepted, answered: make(chan struct{})}
	o.pending = append(o.pending, p)
	return p, evicted
}

// forget removes p, from which no request came, and reports whether it had been
// evicted.
func (o *requestOrder) forget(p *pendingConn) (evicted bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = without(o.pending, p)
	close(p.answered)
	return p.evicted
}

// ask notes that p's request has come, and returns those that were accepted before
// p and whose requests have come, too, and have not been answered. Some of them
// may not have been read yet: their goroutines wait for a processor.
func (o *requestOrder) ask(p *pendingConn) (before []*pendingConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = without(o.pending, p)
	for _, q := range o.asking {
		if q.seq < p.seq {
			before = append(before, q)
		}
	}
	for _, q := range o.pending {
		if q.seq < p.seq && q.asked() {
			before = append(before, q)
		}
	}
	o.asking = append(o.asking, p)
	return before
}

// answered notes that p's request has been answered.
func (o *requestOrder) answered(p *pendingConn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asking = without(o.asking, p)
	close(p.answered)
}

// closePending closes the connections without a request.
func (o *requestOrder) closePending() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.pending {
		p.stream.Close()
	}
}

func without(list []*pendingConn, p *pendingConn) []*pendingConn {
	return slices.DeleteFunc(list, func(q *pendingConn) bool { return q == p })
}

// awaitAnswers waits until the requests of all in before have been answered, at
// most for the given time, or until ending is closed.
//
// A client that waits for its reply may ask, on a second connection, for what is
// certain to be refused, and take the refusal for a sign that the switch has
// dealt with the first request and will not answer it: that is true of
// vde_switch, which does one thing after the other and refuses in silence
// (docs/spec/vde-protocol.md, section 9). Requests are dealt with side by side
// here, and one may have to wait for Admit or for a processor. A request waits
// only for those that were accepted before, so no two wait for each other.
func awaitAnswers(before []*pendingConn, limit time.Duration, ending <-chan struct{}) {
	if len(before) == 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, p := range before {
		select {
		case <-p.answered:
		case <-timer.C:
			return
		case <-ending:
			return
		}
	}
}
