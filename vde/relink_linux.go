// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/pool"
)

// A relink is a link that joins again when the switch has ended it.
type relink struct {
	join     func(context.Context) (*joined, error)
	policy   ReconnectPolicy
	counters *counters
	end      func(error) // the Conn's, for when the policy gives up

	ctx    context.Context // of joining; cancelled by Close
	cancel context.CancelFunc

	tx atomic.Pointer[socketLink] // where to send; nil while the link is down; written with mu held

	mu            sync.Mutex
	rx            []*socketLink // where to receive, in order; all but the last have ended
	changed       chan struct{} // closed and replaced when something here has changed
	readDeadline  time.Time
	writeDeadline time.Time
	closed        bool
	hungUp        bool
	headers       bool // EnableOffload was called

	calling   sync.Mutex // held while listeners are called
	listeners map[*func(LinkState)]struct{}
}

var (
	_ link.Link = (*relink)(nil)
	_ changing  = (*relink)(nil)
)

// reconnecting returns a Conn on j that joins again by calling join.
func (j *joined) reconnecting(parent context.Context, vnl string, cfg *config, join func(context.Context) (*joined, error)) *Conn {
	l := j.link()
	r := &relink{
		join: join, policy: *cfg.reconnect,
		rx: []*socketLink{l}, changed: make(chan struct{}),
		listeners: make(map[*func(LinkState)]struct{}),
	}
	r.tx.Store(l)
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(parent))
	c := newConn(parent, r, vnl, cfg)
	r.counters, r.end = &c.stats, c.end
	r.counters.rxEarly.Store(uint64(j.strangers))
	c.running.Go(func() { r.run(l) })
	return c
}

// run watches l and its successors until Close or until the policy gives up.
func (r *relink) run(l *socketLink) {
	recent := 0 // attempts since the link was last up for long
	for {
		up := time.Now()
		var cause error
		l.watch(func(err error) { cause = err }) // returns when the control stream has ended
		down := time.Now()
		if !r.down(l) {
			return
		}
		r.tell(LinkState{Err: cause})
		if down.Sub(up) > r.policy.MaxDelay {
			recent = 0
		} // else the switch takes us in and throws us out: do not hurry
		if l, recent = r.rejoin(down, recent); l == nil {
			return
		}
	}
}

// down takes note that l has ended, and reports whether to reconnect.
func (r *relink) down(l *socketLink) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.tx.Store(nil)
	l.Hangup() // receives take what is left in it
	r.broadcast()
	return true
}

// rejoin joins until it succeeds; nil says that there is no use in going on.
// recent is how many attempts preceded, for the pauses; the sum is returned.
func (r *relink) rejoin(down time.Time, recent int) (*socketLink, int) {
	for attempt := 1; ; attempt++ {
		pause := time.NewTimer(r.policy.delay(recent + attempt))
		select {
		case <-pause.C:
		case <-r.ctx.Done():
			pause.Stop()
			return nil, 0
		}
		ctx, cancel := context.WithTimeout(r.ctx, joinTimeout)
		j, err := r.join(ctx)
		cancel()
		outage := time.Since(down)
		if err == nil {
			l := j.link()
			if !r.up(l, j.strangers) {
				return nil, 0
			}
			r.tell(LinkState{Up: true, Attempt: attempt, Outage: outage})
			return l, recent + attempt
		}
		if r.ctx.Err() != nil {
			return nil, 0
		}
		if r.policy.spent(attempt, outage) {
			r.end(fmt.Errorf("%w; gave up reconnecting after %d attempts in %v: %w", ErrHangup, attempt, outage.Round(time.Millisecond), err))
			return nil, 0
		}
		r.tell(LinkState{Attempt: attempt, Err: err, Outage: outage})
	}
}

// up takes l, which has just joined, into use, unless r has been closed.
func (r *relink) up(l *socketLink, strangers int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_, _ = l.Close()
		return false
	}
	if r.headers {
		l.EnableOffload()
	}
	r.counters.rxEarly.Add(uint64(strangers))
	_ = l.SetReadDeadline(r.readDeadline) // a new link cannot be closed
	_ = l.SetWriteDeadline(r.writeDeadline)
	if len(r.rx) > 1 {
		// Nobody reads, and the switch has died again: the oldest give way.
		r.discard(len(r.rx) - 1)
	}
	r.rx = append(r.rx, l)
	r.tx.Store(l)
	r.broadcast()
	return true
}

// discard closes the first n links of rx; mu is held.
func (r *relink) discard(n int) {
	for _, l := range r.rx[:n] {
		unread, _ := l.Close() // it had ended
		r.counters.rxDiscarded.Add(uint64(unread))
	}
	r.rx = slices.Delete(r.rx, 0, n)
}

// broadcast wakes whoever waits for a change; mu is held.
func (r *relink) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits for a change or until the deadline that changed and deadline were
// read with.
func await(changed <-chan struct{}, deadline time.Time) error {
	if deadline.IsZero() {
		<-changed
		return nil
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

// incoming returns the link to receive from, and waits for one.
func (r *relink) incoming() (*socketLink, error) {
	for {
		l, changed, deadline, err := r.front()
		if l != nil || err != nil {
			return l, err
		}
		if err := await(changed, deadline); err != nil {
			return nil, err
		}
	}
}

// front returns the link to receive from, or why there will be none, or what to
// wait with.
func (r *relink) front() (l *socketLink, changed <-chan struct{}, deadline time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		err = net.ErrClosed
	case len(r.rx) > 0:
		l = r.rx[0]
	case r.hungUp:
		err = link.ErrDrained
	}
	return l, r.changed, r.readDeadline, err
}

// next reports whether receiving goes on with another link after l gave err.
func (r *relink) next(l *socketLink, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return false
	case len(r.rx) > 0 && r.rx[0] == l && errors.Is(err, link.ErrDrained):
		r.discard(1)
		return true
	case len(r.rx) > 0 && r.rx[0] == l && errors.Is(err, ErrSharedMemory):
		// run is about to notice.
		if r.tx.Load() == l {
			r.tx.Store(nil)
		}
		r.discard(1)
		return true
	}
	return len(r.rx) == 0 || r.rx[0] != l // discarded while we were waiting
}

func (r *relink) Recv(bufs [][]byte, sizes []int) (n int, err error) {
	for {
		l, err := r.incoming()
		if err != nil {
			return 0, err
		}
		n, err := l.Recv(bufs, sizes)
		if err == nil || !r.next(l, err) {
			return n, err
		}
	}
}

func (r *relink) RecvBuffers(p *pool.Pool, bs []*pool.Buffer, sizes []int) (n int, err error) {
	for {
		l, err := r.incoming()
		if err != nil {
			return 0, err
		}
		n, err := l.RecvBuffers(p, bs, sizes)
		if err == nil || !r.next(l, err) {
			return n, err
		}
	}
}

// outgoing returns the link to send on; with wait it waits for one.
func (r *relink) outgoing(wait bool) (*socketLink, error) {
	for {
		if l := r.tx.Load(); l != nil {
			return l, nil
		}
		r.mu.Lock()
		l, changed, deadline, closed, hungUp := r.tx.Load(), r.changed, r.writeDeadline, r.closed, r.hungUp
		r.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case l != nil:
			return l, nil
		case hungUp:
			return nil, os.ErrDeadlineExceeded
		case !wait || r.policy.FailWrites:
			return nil, ErrDown
		}
		if err := await(changed, deadline); err != nil {
			return nil, err
		}
	}
}

// relinkGrace is how long a write that finds the data socket gone waits for the
// control stream to follow. A process that is killed on a busy machine may take
// its time to die.
const relinkGrace = 2 * time.Second

// again reports whether sending goes on with another link after l gave err.
func (r *relink) again(l *socketLink, err error, wait bool) bool {
	if wait && (is(err, syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ECONNRESET, syscall.EPIPE) || errors.Is(err, ErrSharedMemory)) {
		// The control stream usually ends together with the data socket, but
		// not in the same moment.
		end := time.Now().Add(relinkGrace)
		for r.tx.Load() == l {
			r.mu.Lock()
			changed, until := r.changed, r.writeDeadline
			same := r.tx.Load() == l && !r.closed
			r.mu.Unlock()
			if !same {
				break
			}
			if until.IsZero() || until.After(end) {
				until = end
			}
			if await(changed, until) != nil {
				return false
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tx.Load() != l && !r.closed
}

func (r *relink) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	return sendAll(r, frames, wait, (*socketLink).Send)
}

func (r *relink) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return sendAll(r, frames, wait, (*socketLink).SendBuffers)
}

// sendAll sends frames by one of a link's two ways.
func sendAll[F any](r *relink, frames []F, wait bool, send func(*socketLink, []F, bool) (n, calls int, err error)) (n, calls int, err error) {
	for {
		l, err := r.outgoing(wait)
		if err != nil {
			return n, calls, err
		}
		k, c, err := send(l, frames[n:], wait)
		n, calls = n+k, calls+c
		if err == nil || !r.again(l, err, wait) {
			return n, calls, err
		}
	}
}

func (r *relink) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	r.readDeadline = t
	for _, l := range r.rx {
		_ = l.SetReadDeadline(t) // fails only if closed
	}
	r.broadcast()
	return nil
}

func (r *relink) SetWriteDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	r.writeDeadline = t
	if l := r.tx.Load(); l != nil {
		_ = l.SetWriteDeadline(t)
	}
	r.broadcast()
	return nil
}

func (r *relink) Hangup() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hungUp = true
	r.broadcast()
}

func (r *relink) Gone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hungUp
}

func (r *relink) Close() (unread int, err error) {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.tx.Store(nil)
	for _, l := range r.rx {
		n, e := l.Close()
		unread += n
		err = errors.Join(err, e)
	}
	r.rx = nil
	r.broadcast()
	return unread, err
}

func (r *relink) SyscallConn() (syscall.RawConn, error) {
	l, err := r.outgoing(false)
	if err != nil {
		return nil, err
	}
	return l.SyscallConn()
}

func (r *relink) sharedMemory() bool {
	l := r.tx.Load()
	return l != nil && l.sharedMemory()
}

func (r *relink) onChange(f func(LinkState)) (stop func()) {
	r.calling.Lock()
	defer r.calling.Unlock()
	key := &f
	r.listeners[key] = struct{}{}
	return func() {
		r.calling.Lock()
		defer r.calling.Unlock()
		delete(r.listeners, key)
	}
}

// tell calls the listeners.
func (r *relink) tell(s LinkState) {
	r.calling.Lock()
	defer r.calling.Unlock()
	for f := range r.listeners {
		(*f)(s)
	}
}
