// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package null

import (
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/link"
)

// A null is a link to nowhere.
type null struct {
	address     string
	read, write deadline.Timer
	closed      atomic.Bool
	closing     chan struct{} // closed by Close
	done        chan struct{} // never closed
}

var _ link.Link = (*null)(nil)

func newLink(address string) *null {
	return &null{address: address, closing: make(chan struct{}), done: make(chan struct{})}
}

// Recv implements [link.Link]: it waits for the deadline or Close.
func (l *null) Recv(r link.Rx) (int, error) {
	switch {
	case l.closed.Load():
		return 0, net.ErrClosed
	case r.NoWait:
		return 0, link.ErrEmpty
	}
	for {
		expired := l.read.Done()
		select {
		case <-l.closing:
			return 0, net.ErrClosed
		case <-expired:
			if l.read.Passed() {
				return 0, os.ErrDeadlineExceeded
			} // else it was moved at the same time
		}
	}
}

// Send implements [link.Link]: every frame has arrived.
func (l *null) Send(t link.Tx) (n, calls int, err error) {
	switch {
	case l.closed.Load():
		return 0, 0, net.ErrClosed
	case t.Len() == 0:
		return 0, 0, nil
	case !t.NoWait && l.write.Passed():
		return 0, 0, os.ErrDeadlineExceeded
	}
	return t.Len(), 1, nil
}

// AwaitRoom implements [link.Link]: there is always room.
func (l *null) AwaitRoom() error {
	switch {
	case l.closed.Load():
		return net.ErrClosed
	case l.write.Passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// SetReadDeadline implements [link.Link].
func (l *null) SetReadDeadline(t time.Time) error { return l.setDeadline(&l.read, t) }

// SetWriteDeadline implements [link.Link].
func (l *null) SetWriteDeadline(t time.Time) error { return l.setDeadline(&l.write, t) }

func (l *null) setDeadline(d *deadline.Timer, t time.Time) error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	d.Set(t)
	return nil
}

// Done implements [link.Link]. The link does not end by itself.
func (l *null) Done() <-chan struct{} { return l.done }

// Err implements [link.Link].
func (l *null) Err() error { return nil }

// Close implements [link.Link].
func (l *null) Close() (unread int, err error) {
	if !l.closed.Swap(true) {
		close(l.closing)
		l.read.Stop()
		l.write.Stop()
	}
	return 0, nil
}

// Caps implements [link.Link]. Unfinished frames arrive as well as others.
func (l *null) Caps() link.Caps {
	return link.Caps{Address: l.address, Offload: link.OffloadChecksum | link.OffloadTSO}
}
