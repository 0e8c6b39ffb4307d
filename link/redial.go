// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

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

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/gso"
)

// Redial returns a link that calls dial for another one when the one it has ends.
// dial is called by one goroutine at a time, with a context that ends at Close.
// ctx bounds the first attempt only; its values stay.
//
// Receives wait during an outage, having delivered what the old link had
// received. Frames that the old link had accepted and its other side had not yet
// forwarded are lost with it. The link ends when the policy gives up, with a
// reason that matches [ErrHangup]. State of its [Caps] is set.
func Redial(ctx context.Context, dial func(context.Context) (Link, error), policy RedialPolicy) (Link, error) {
	policy, err := policy.Defaults()
	if err != nil {
		return nil, err
	}
	r := &redial{
		dial: dial, policy: policy,
		done: make(chan struct{}), changed: make(chan struct{}),
	}
	r.counters = r.count
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	var first Link
	if !policy.FirstDial {
		if first, err = dial(ctx); err != nil {
			r.cancel()
			return nil, err
		}
		r.use(first, State{Up: true}, time.Time{})
	} else {
		r.states.down = time.Now()
	}
	r.running.Go(func() { r.run(first) })
	return r, nil
}

// A redial is the link that Redial returns.
type redial struct {
	dial   func(context.Context) (Link, error)
	policy RedialPolicy

	ctx     context.Context // of dialing; cancelled by Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	done    chan struct{} // closed when the policy has given up
	cause   error         // written before done is closed

	tx atomic.Pointer[Link] // where to send; nil while the link is down; written with mu held

	mu            sync.Mutex
	rx            []Link        // guarded by mu; where to receive, in order; all but the last have ended
	changed       chan struct{} // guarded by mu; closed and replaced when something here has changed
	readDeadline  time.Time     // guarded by mu
	writeDeadline time.Time     // guarded by mu
	closed        bool          // guarded by mu
	past          Counters      // guarded by mu; of links that are no more

	states   states
	counters func() Counters // made once, because Caps is called for each send with metadata
	finisher gso.Finisher    // of frames that the link in use turned out not to take
}

var _ Link = (*redial)(nil)

// run waits for the end of l, which may be nil, and of its successors until Close
// or until the policy gives up.
func (r *redial) run(l Link) {
	recent := 0 // attempts since the link was last up for long
	down := time.Now()
	for {
		if l != nil {
			up := time.Now()
			var ok bool
			if down, ok = r.awaitEnd(l); !ok {
				return
			}
			if down.Sub(up) > r.policy.MaxDelay {
				recent = 0
			} // else the other side ends the link soon each time: do not hurry
		}
		if l, recent = r.redial(l == nil, down, recent); l == nil {
			return
		}
	}
}

// awaitEnd waits for the end of l, returns when it was noticed and reports whether to
// dial again.
func (r *redial) awaitEnd(l Link) (down time.Time, ok bool) {
	select {
	case <-l.Done():
	case <-r.ctx.Done():
		return down, false
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return down, false
	}
	down = time.Now()
	state := State{Err: l.Err()}
	r.tx.Store(nil)
	r.states.note(state, down)
	r.broadcast()
	r.mu.Unlock()
	r.states.tell(state)
	return down, true
}

// redial dials until an attempt succeeds; nil says that there is no use in going
// on. The first attempt is made at once if atOnce. recent is how many attempts
// preceded, for the pauses; the sum is returned.
func (r *redial) redial(atOnce bool, down time.Time, recent int) (Link, int) {
	for attempt := 1; ; attempt++ {
		if !(atOnce && attempt == 1) && !r.pause(recent+attempt) {
			return nil, 0
		}
		l, err := r.dial(r.ctx)
		outage := time.Since(down)
		if err == nil {
			state := State{Up: true, Attempt: attempt, Outage: outage}
			if !r.use(l, state, down) {
				_, _ = l.Close()
				return nil, 0
			}
			r.states.tell(state)
			return l, recent + attempt
		}
		if r.ctx.Err() != nil {
			return nil, 0
		}
		if r.policy.exhausted(attempt, outage) {
			r.giveUp(fmt.Errorf("%w; gave up reconnecting after %d attempts in %v: %w", ErrHangup, attempt, outage.Round(time.Millisecond), err))
			return nil, 0
		}
		state := State{Attempt: attempt, Err: err, Outage: outage}
		r.states.note(state, down)
		r.states.tell(state)
	}
}

// pause waits before an attempt and reports whether to make it.
func (r *redial) pause(attempt int) bool {
	timer := time.NewTimer(r.policy.delay(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.ctx.Done():
		return false
	}
}

// use takes l, which was just opened, into use, unless r has been closed. The state is
// noted with that, so that it is right for whoever has sent or received through l.
func (r *redial) use(l Link, state State, down time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	_ = l.SetReadDeadline(r.readDeadline) // a new link cannot be closed
	_ = l.SetWriteDeadline(r.writeDeadline)
	if len(r.rx) > 1 {
		// Nobody receives, and the link has ended again: the oldest are dropped.
		r.discard(len(r.rx) - 1)
	}
	r.rx = append(r.rx, l)
	r.tx.Store(&l)
	r.states.note(state, down)
	r.broadcast()
	return true
}

// giveUp ends the link.
func (r *redial) giveUp(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cause = cause
	close(r.done)
	r.broadcast()
}

// discard closes the first n links of rx; mu is held.
func (r *redial) discard(n int) {
	for _, l := range r.rx[:n] {
		unread, _ := l.Close() // it had ended
		r.past.Discarded += uint64(unread)
		r.past.add(l)
	}
	r.rx = slices.Delete(r.rx, 0, n)
}

// broadcast wakes whoever waits for a change; mu is held.
func (r *redial) broadcast() {
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

// incoming returns the link to receive from; with wait it waits for one.
func (r *redial) incoming(wait bool) (Link, error) {
	for {
		l, changed, deadline, err := r.front()
		if l != nil || err != nil {
			return l, err
		}
		if !wait {
			return nil, ErrEmpty
		}
		if err := await(changed, deadline); err != nil {
			return nil, err
		}
	}
}

// front returns the link to receive from, or why there will be none, or what to
// wait with.
func (r *redial) front() (l Link, changed <-chan struct{}, deadline time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		err = net.ErrClosed
	case len(r.rx) > 0:
		l = r.rx[0]
	default:
		err = r.Err()
	}
	return l, r.changed, r.readDeadline, err
}

// nextLink reports whether receiving goes on with another link after l gave err.
func (r *redial) nextLink(l Link, err error) bool {
	over := errors.Is(err, ErrViolation) || l.Err() != nil && errors.Is(err, l.Err())
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return false
	case len(r.rx) > 0 && r.rx[0] == l && over:
		if p := r.tx.Load(); p != nil && *p == l {
			r.tx.Store(nil) // run is about to notice
		}
		r.discard(1)
		return true
	}
	return len(r.rx) == 0 || r.rx[0] != l // discarded while we were waiting
}

// Recv implements [Link].
func (r *redial) Recv(rx Rx) (n int, err error) {
	for {
		l, err := r.incoming(!rx.NoWait)
		if err != nil {
			return 0, err
		}
		n, err := l.Recv(rx)
		if err == nil || !r.nextLink(l, err) {
			return n, err
		}
	}
}

// outgoing returns the link to send on; with wait it waits for one.
func (r *redial) outgoing(wait bool) (Link, error) {
	for {
		if l := r.tx.Load(); l != nil {
			return *l, nil
		}
		r.mu.Lock()
		l, changed, deadline, closed, err := r.tx.Load(), r.changed, r.writeDeadline, r.closed, r.Err()
		r.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case l != nil:
			return *l, nil
		case err != nil:
			return nil, err
		case !wait || r.policy.FailWrites:
			return nil, ErrDown
		}
		if err := await(changed, deadline); err != nil {
			return nil, err
		}
	}
}

// redialGrace is how long a send that finds nobody at the other end waits for the
// end of the link to follow. A process that is killed on a busy machine may take
// its time to die.
const redialGrace = 2 * time.Second

// retry reports whether sending goes on with another link after l gave err.
func (r *redial) retry(l Link, err error, wait bool) bool {
	if wait && (refused(err) || errors.Is(err, ErrViolation) || l.Err() != nil) && !r.awaitChange(l) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.sending(l) && !r.closed
}

// sending reports whether l is the link to send on.
func (r *redial) sending(l Link) bool {
	p := r.tx.Load()
	return p != nil && *p == l
}

// awaitChange waits until l is not the link to send on any more. It returns false
// at the write deadline, or if that takes too long.
func (r *redial) awaitChange(l Link) bool {
	end := time.Now().Add(redialGrace)
	for r.sending(l) {
		r.mu.Lock()
		changed, until := r.changed, r.writeDeadline
		over := !r.sending(l) || r.closed
		r.mu.Unlock()
		if over {
			return true
		}
		if until.IsZero() || until.After(end) {
			until = end
		}
		if await(changed, until) != nil {
			return false
		}
	}
	return true
}

// refused reports whether err says that nobody is at the other end.
func refused(err error) bool {
	for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// Send implements [Link].
func (r *redial) Send(t Tx) (n, calls int, err error) {
	for {
		l, err := r.outgoing(!t.NoWait)
		if err != nil {
			return n, calls, err
		}
		k, c, err := r.sendOn(l, t.From(n))
		n, calls = n+k, calls+c
		switch {
		case err == nil:
			return n, calls, nil
		case r.retry(l, err, !t.NoWait): // on the next link
		case t.NoWait && l.Err() != nil && !errors.Is(err, net.ErrClosed):
			return n, calls, fmt.Errorf("%w: %v", ErrDown, err) // which run is about to notice
		default:
			return n, calls, err
		}
	}
}

// sendOn sends on l, which may not be the link whose Caps the caller has asked.
func (r *redial) sendOn(l Link, t Tx) (n, calls int, err error) {
	if t.Headers == nil {
		return l.Send(t)
	}
	offload := l.Caps().Offload
	if !slices.ContainsFunc(t.Headers, func(h frame.VNetHeader) bool { return !offload.Takes(h) }) {
		return l.Send(t)
	}
	to := &finished{l}
	if t.Pieces != nil {
		return r.finisher.SendPieces(to, t.Pieces, t.Headers, !t.NoWait)
	}
	return r.finisher.Send(to, t.Frames, t.Headers, !t.NoWait)
}

// A finished is a link as a gso.Sender.
type finished struct{ Link }

// SendPieces implements gso.Sender.
func (f *finished) SendPieces(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return f.Send(Tx{Pieces: frames, NoWait: !wait})
}

// AwaitRoom implements [Link].
func (r *redial) AwaitRoom() error {
	for {
		l, err := r.outgoing(true)
		if err != nil {
			return err
		}
		if err = l.AwaitRoom(); err == nil || !r.retry(l, err, true) {
			return err
		}
	}
}

// SetReadDeadline implements [Link].
func (r *redial) SetReadDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	t = deadline.Monotonic(t) // the next link gets it too
	r.readDeadline = t
	for _, l := range r.rx {
		_ = l.SetReadDeadline(t) // fails only if closed
	}
	r.broadcast()
	return nil
}

// SetWriteDeadline implements [Link].
func (r *redial) SetWriteDeadline(t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	t = deadline.Monotonic(t)
	r.writeDeadline = t
	if l := r.tx.Load(); l != nil {
		_ = (*l).SetWriteDeadline(t)
	}
	r.broadcast()
	return nil
}

// Done implements [Link].
func (r *redial) Done() <-chan struct{} { return r.done }

// Err implements [Link].
func (r *redial) Err() error {
	select {
	case <-r.done:
		return r.cause
	default:
		return nil
	}
}

// Close implements [Link].
func (r *redial) Close() (unread int, err error) {
	r.cancel()
	r.mu.Lock()
	r.closed = true
	r.tx.Store(nil)
	rx := r.rx
	r.rx = nil
	r.broadcast()
	r.mu.Unlock()
	// A link may take its time to close. Until it has, calls can be made on it.
	for _, l := range rx {
		n, e := l.Close()
		unread += n
		err = errors.Join(err, e)
		r.mu.Lock()
		r.past.add(l)
		r.mu.Unlock()
	}
	r.running.Wait()
	return unread, err
}

// Caps implements [Link]. They are those of the link in use.
func (r *redial) Caps() Caps {
	c := Caps{State: &r.states, Counters: r.counters}
	if l := r.tx.Load(); l != nil {
		inner := (*l).Caps()
		c.Address, c.Offload, c.SharedMemory, c.Raw = inner.Address, inner.Offload, inner.SharedMemory, inner.Raw
	}
	return c
}

// count adds up the counters of the links so far.
func (r *redial) count() Counters {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.past
	for _, l := range r.rx {
		c.add(l)
	}
	return c
}
