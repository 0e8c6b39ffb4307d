// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/delayline"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
)

// A lineLink is the link of a line's Conn. Sending never waits: a frame is under
// way at once, or dropped. It takes ordinary frames only, so GSO frames are
// segmented before they enter the line, and each segment is lost or delayed by
// itself, as on a real line.
type lineLink struct{ *Line }

var (
	_ link.Link           = lineLink{}
	_ link.BufferReceiver = lineLink{}
)

// Recv implements [link.Link].
func (c lineLink) Recv(r link.Rx) (n int, err error) {
	frames, err := c.ready.take(min(len(r.Bufs), len(r.Sizes)), !r.NoWait)
	for i, f := range frames {
		r.Sizes[i] = len(f.Bytes())
		copy(r.Bufs[i], f.Bytes())
	}
	if r.Headers != nil {
		clear(r.Headers[:len(frames)])
	}
	pool.ReleaseBatch(frames)
	return len(frames), err
}

// RecvBuffers implements [link.BufferReceiver].
func (c lineLink) RecvBuffers(bs []*pool.Buffer, headers []frame.VNetHeader) (n int, err error) {
	frames, err := c.ready.take(len(bs), true)
	if pool.LeakMode {
		pool.RemoveOwner(c.owner(), frames...)
	}
	for i, f := range frames {
		if bs[i] != nil {
			bs[i].Release()
		}
		bs[i] = f
	}
	if headers != nil {
		clear(headers[:len(frames)])
	}
	return len(frames), err
}

// Send implements [link.Link].
func (c lineLink) Send(t link.Tx) (n, calls int, err error) {
	if !t.NoWait && c.writeDeadline.Passed() {
		return 0, 0, os.ErrDeadlineExceeded
	}
	if err := c.ready.ended(); err != nil {
		return 0, 0, err
	}
	for i := range t.Len() {
		b := c.buffers.Get()
		if pool.LeakMode {
			pool.AddOwner(c.owner(), b)
		}
		if t.Pieces != nil {
			b.SetLen(gso.Gather(b.Bytes(), t.Pieces[i]))
		} else {
			b.SetLen(copy(b.Bytes(), t.Frames[i]))
		}
		c.out.Enter([]delayline.Frame{{Buffer: b}}, nil)
	}
	return t.Len(), min(t.Len(), 1), nil
}

// AwaitRoom implements [link.Link]. There is always room.
func (c lineLink) AwaitRoom() error {
	if c.writeDeadline.Passed() {
		return os.ErrDeadlineExceeded
	}
	return c.ready.ended()
}

// SetReadDeadline implements [link.Link].
func (c lineLink) SetReadDeadline(t time.Time) error { return c.ready.setDeadline(t) }

// SetWriteDeadline implements [link.Link].
func (c lineLink) SetWriteDeadline(t time.Time) error {
	if err := c.ready.closedErr(); err != nil {
		return err
	}
	c.writeDeadline.Set(t)
	return nil
}

// Done implements [link.Link].
func (c lineLink) Done() <-chan struct{} { return c.ready.done }

// Err implements [link.Link].
func (c lineLink) Err() error { return c.ready.reason() }

// Close implements [link.Link]. It leaves the line alone if NewConn calls it
// because it fails.
func (c lineLink) Close() (unread int, err error) {
	if c.outer == nil {
		return 0, nil
	}
	return c.close()
}

// Caps implements [link.Link].
func (c lineLink) Caps() link.Caps { return c.caps }

// An inbox holds the frames that have arrived and have not been received.
type inbox struct {
	deadline deadline.Timer // of take

	done chan struct{} // closed by hangup

	mu      sync.Mutex
	frames  []*pool.Buffer // guarded by mu
	closed  bool           // guarded by mu
	cause   error          // guarded by mu; why nothing more arrives, nil before hangup
	changed chan struct{}  // guarded by mu; closed and replaced by update
}

// inboxSize is how many frames may be in an inbox.
const inboxSize = 65536

func newInbox() *inbox { return &inbox{done: make(chan struct{}), changed: make(chan struct{})} }

// update changes the inbox and wakes the calls of take.
func (i *inbox) update(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
	close(i.changed)
	i.changed = make(chan struct{})
}

// put adds frames, which it takes over, and returns how many there was room for.
func (i *inbox) put(frames []*pool.Buffer) (taken int) {
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
	if err := i.closedErr(); err != nil {
		return err
	}
	i.deadline.Set(t)
	return nil
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

// hangup says that nothing more arrives, and why. It is called once.
func (i *inbox) hangup(cause error) {
	i.update(func() { i.cause = cause })
	close(i.done)
}

// reason returns the cause given to hangup, or nil.
func (i *inbox) reason() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.cause
}

func (i *inbox) close() {
	i.update(func() { i.closed = true })
	i.deadline.Stop()
}

// drain releases the frames that were not received and returns how many there were.
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
	if err := i.closedErr(); err != nil {
		return err
	}
	return i.reason()
}

// take takes at most limit frames; with wait it waits for the first.
func (i *inbox) take(limit int, wait bool) ([]*pool.Buffer, error) {
	for limit > 0 {
		expired := i.deadline.Done() // before Passed, so that no change is missed
		frames, changed, err := i.takeNow(limit, wait)
		if frames != nil || err != nil {
			return frames, err
		}
		if !wait {
			return nil, link.ErrEmpty
		}
		select {
		case <-changed:
		case <-expired:
		}
	}
	return nil, nil
}

// takeNow is take without waiting. If there is neither a frame nor an error,
// changed is what to wait for.
func (i *inbox) takeNow(limit int, wait bool) (frames []*pool.Buffer, changed <-chan struct{}, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch n := min(limit, len(i.frames)); {
	case i.closed:
		return nil, nil, net.ErrClosed
	case wait && i.deadline.Passed() && i.cause == nil:
		return nil, nil, os.ErrDeadlineExceeded
	case n > 0:
		frames = i.frames[:n:n]
		i.frames = i.frames[n:]
		return frames, nil, nil
	}
	return nil, i.changed, i.cause
}
