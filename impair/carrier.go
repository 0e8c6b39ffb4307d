// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/pool"
)

// A carrier is the link of a line's Conn. Sending never waits: a frame is on
// its way at once, or dropped.
type carrier struct{ *Line }

var _ link.Link = carrier{}

func (c carrier) Recv(bufs [][]byte, sizes []int) (n int, err error) {
	frames, err := c.ready.take(min(len(bufs), len(sizes)))
	for i, f := range frames {
		sizes[i] = len(f.Bytes())
		to := bufs[i]
		if c.headers.Load() {
			to = to[min(frame.VNetHeaderLen, len(to)):]
		}
		copy(to, f.Bytes())
	}
	if c.headers.Load() {
		gso.PutNothing(bufs[:len(frames)], sizes)
	}
	pool.ReleaseBatch(frames)
	return len(frames), err
}

func (c carrier) RecvBuffers(p *pool.Pool, bs []*pool.Buffer, sizes []int) (n int, err error) {
	if c.headers.Load() {
		return c.recvBehind(p, bs, sizes)
	}
	frames, err := c.ready.take(min(len(bs), len(sizes)))
	for i, f := range frames {
		sizes[i] = len(f.Bytes())
		if bs[i] != nil {
			bs[i].Release()
		}
		bs[i] = f
	}
	return len(frames), err
}

// recvBehind is RecvBuffers into buffers that have room for an offload header.
func (c carrier) recvBehind(p *pool.Pool, bs []*pool.Buffer, sizes []int) (n int, err error) {
	frames, err := c.ready.take(min(len(bs), len(sizes)))
	p.GetBatch(bs[:len(frames)])
	for i, f := range frames {
		sizes[i] = len(f.Bytes())
		window := [][]byte{bs[i].Bytes()}
		copy(window[0][min(frame.VNetHeaderLen, len(window[0])):], f.Bytes())
		gso.PutNothing(window, sizes[i:])
		bs[i].SetLen(min(sizes[i], len(window[0])))
	}
	pool.ReleaseBatch(frames)
	return len(frames), err
}

// EnableOffload implements link.Link. A line takes ordinary frames only: what is
// long is cut before chance decides about each of the parts, as it would be on a
// line that is really bad.
func (c carrier) EnableOffload() { c.headers.Store(true) }

func (c carrier) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	if c.headers.Load() {
		return c.soft.Send(ordinary(c), frames, wait)
	}
	if err := c.sendable(wait); err != nil {
		return 0, 0, err
	}
	for _, f := range frames {
		b := c.buffers.Get()
		b.SetLen(copy(b.Bytes(), f))
		c.out.enter(b)
	}
	return len(frames), min(len(frames), 1), nil
}

func (c carrier) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	if c.headers.Load() {
		return c.soft.SendBuffers(ordinary(c), frames, wait)
	}
	return ordinary(c).SendBuffers(frames, wait)
}

// An ordinary is a carrier that knows of no offload headers.
type ordinary struct{ *Line }

func (c ordinary) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	if err := carrier(c).sendable(wait); err != nil {
		return 0, 0, err
	}
	for _, pieces := range frames {
		b := c.buffers.Get()
		b.SetLen(gso.Gather(b.Bytes(), pieces))
		c.out.enter(b)
	}
	return len(frames), min(len(frames), 1), nil
}

func (c carrier) SetReadDeadline(t time.Time) error { return c.ready.setDeadline(t) }

func (c carrier) SetWriteDeadline(t time.Time) error {
	c.writeDeadline.Store(&t)
	return c.ready.closedErr()
}

// sendable returns why nothing can be sent, or nil.
func (c carrier) sendable(wait bool) error {
	if t := c.writeDeadline.Load(); wait && t != nil && !t.IsZero() && time.Until(*t) <= 0 {
		return os.ErrDeadlineExceeded
	}
	return c.ready.ended()
}

func (c carrier) Hangup() { c.ready.hangup() }

func (c carrier) Gone() bool { return c.ready.ended() != nil }

func (c carrier) Close() (unread int, err error) { return c.close() }

func (c carrier) SyscallConn() (syscall.RawConn, error) {
	return nil, fmt.Errorf("an impaired line has no descriptor: %w", errors.ErrUnsupported)
}

// An inbox holds the frames that have arrived and not been received.
type inbox struct {
	mu       sync.Mutex
	frames   []*pool.Buffer
	deadline time.Time
	closed   bool
	hungUp   bool
	changed  chan struct{} // closed and replaced when something here has changed
}

// inboxSize is how many frames may be in an inbox.
const inboxSize = 65536

func newInbox() *inbox { return &inbox{changed: make(chan struct{})} }

// update changes the inbox and wakes who waits.
func (i *inbox) update(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
	close(i.changed)
	i.changed = make(chan struct{})
}

// put adds frames, which it takes over, and returns how many there was room for.
func (i *inbox) put(frames []outgoing) (taken int) {
	i.update(func() {
		if !i.closed {
			taken = min(len(frames), inboxSize-len(i.frames))
			i.frames = append(i.frames, frames[:taken]...)
		}
	})
	pool.ReleaseBatch(frames[taken:])
	return taken
}

func (i *inbox) setDeadline(t time.Time) error {
	i.update(func() { i.deadline = t })
	return i.closedErr()
}

// closedErr returns net.ErrClosed after close.
func (i *inbox) closedErr() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return net.ErrClosed
	}
	return nil
}

func (i *inbox) hangup() { i.update(func() { i.hungUp = true }) }

func (i *inbox) close() { i.update(func() { i.closed = true }) }

// drain releases what nobody has received and returns how much that was.
func (i *inbox) drain() (n int) {
	i.update(func() {
		n = len(i.frames)
		pool.ReleaseBatch(i.frames)
		i.frames = nil
	})
	return n
}

// ended returns why nothing can be sent any more, or nil.
func (i *inbox) ended() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.closed:
		return net.ErrClosed
	case i.hungUp:
		return os.ErrDeadlineExceeded // as link.Link asks for
	}
	return nil
}

// take waits for frames and takes at most limit of them.
func (i *inbox) take(limit int) ([]*pool.Buffer, error) {
	for limit > 0 {
		i.mu.Lock()
		changed, deadline := i.changed, i.deadline
		late := !deadline.IsZero() && !i.hungUp && time.Until(deadline) <= 0
		switch n := min(limit, len(i.frames)); {
		case i.closed:
			i.mu.Unlock()
			return nil, net.ErrClosed
		case late:
			i.mu.Unlock()
			return nil, os.ErrDeadlineExceeded
		case n > 0:
			taken := i.frames[:n:n]
			i.frames = i.frames[n:]
			i.mu.Unlock()
			return taken, nil
		case i.hungUp:
			i.mu.Unlock()
			return nil, link.ErrDrained
		}
		i.mu.Unlock()
		await(changed, deadline)
	}
	return nil, nil
}

// await waits for a change or the deadline, if there is one.
func await(changed <-chan struct{}, deadline time.Time) {
	if deadline.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}
