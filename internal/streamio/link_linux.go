// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A Config describes a [Link].
type Config struct {
	Framing *Framing // without Metadata
	Address string   // of the other side, as a locator
}

// A Link is a [Conn] as a [link.Link].
type Link struct {
	conn     *Conn
	cfg      Config
	counters func() link.Counters // made once, because Caps is called for each send with metadata

	// resolver is what receives without Headers go through if metadata is guessed.
	resolver gso.Resolver

	closed  atomic.Bool
	endOnce sync.Once
	done    chan struct{} // closed when the stream has ended, or cannot be read any more
	cause   error         // written before done is closed
}

var _ link.Link = (*Link)(nil)

// NewLink returns a link over fd, a connected stream socket, which it owns from then
// on and closes on failure.
func NewLink(fd int, cfg Config) (*Link, error) {
	conn, err := newConn(fd, cfg.Address, cfg.Framing)
	if err != nil {
		return nil, err
	}
	l := &Link{conn: conn, cfg: cfg, done: make(chan struct{})}
	l.counters = func() link.Counters {
		return link.Counters{Unsent: conn.Unsent(), Discarded: uint64(l.resolver.Late())}
	}
	l.resolver.Source = func(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (int, error) {
		return conn.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers, NoWait: !wait})
	}
	conn.start(l.end)
	return l, nil
}

// end notes the end of the link.
func (l *Link) end(cause error) {
	l.endOnce.Do(func() {
		if l.closed.Load() {
			return
		}
		l.cause = cause
		close(l.done)
		l.conn.Hangup()
	})
}

// Done implements [link.Link].
func (l *Link) Done() <-chan struct{} { return l.done }

// Err implements [link.Link].
func (l *Link) Err() error {
	select {
	case <-l.done:
		return l.cause
	default:
		return nil
	}
}

// Recv implements [link.Link].
func (l *Link) Recv(r link.Rx) (n int, err error) {
	if l.cfg.Framing.Guess == nil {
		n, err = l.conn.Recv(r)
	} else {
		n, err = l.resolve(r)
	}
	if err == nil || err == link.ErrEmpty {
		return n, err
	}
	var framing *FramingError
	switch {
	case l.closed.Load():
		return 0, net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, err
	case errors.As(err, &framing):
		l.end(err)
		l.conn.shutdown() // what follows cannot be understood
	case !errors.Is(err, transport.ErrDrained):
		l.end(err)
	}
	return 0, l.reason(err)
}

// resolve is Recv of a link on which frames may be unfinished.
func (l *Link) resolve(r link.Rx) (int, error) {
	switch {
	case r.Headers == nil:
		return l.resolver.Recv(r.Bufs, r.Sizes, !r.NoWait)
	case l.resolver.Pending():
		clear(r.Headers[:len(r.Bufs)]) // kept frames are ordinary
		return l.resolver.Recv(r.Bufs, r.Sizes, false)
	}
	return l.conn.Recv(r)
}

// reason returns the cause of the end, or err if Close came first.
func (l *Link) reason(err error) error {
	if cause := l.Err(); cause != nil {
		return cause
	}
	if l.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// Send implements [link.Link].
func (l *Link) Send(t link.Tx) (n, calls int, err error) {
	if err := l.ended(); err != nil && t.Len() > 0 {
		return 0, 0, err
	}
	if n, calls, err = l.conn.Send(t); err != nil && err != link.ErrFull {
		err = l.sendError(err)
	}
	return n, calls, err
}

// AwaitRoom implements [link.Link].
func (l *Link) AwaitRoom() error {
	if err := l.ended(); err != nil {
		return err
	}
	if err := l.conn.AwaitRoom(); err != nil {
		return l.sendError(err)
	}
	return nil
}

// ended returns why nothing can be sent any more.
func (l *Link) ended() error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	return l.Err()
}

// sendError returns what a failure of the stream to send means here.
func (l *Link) sendError(err error) error {
	if errors.Is(err, link.ErrHangup) {
		l.end(err)
	}
	if errors.Is(err, link.ErrHangup) || errors.Is(err, os.ErrDeadlineExceeded) {
		return l.reason(err) // the end may have woken the send
	}
	return err
}

// SetReadDeadline implements [link.Link].
func (l *Link) SetReadDeadline(t time.Time) error { return l.conn.SetReadDeadline(t) }

// SetWriteDeadline implements [link.Link].
func (l *Link) SetWriteDeadline(t time.Time) error { return l.conn.SetWriteDeadline(t) }

// Close implements [link.Link].
func (l *Link) Close() (unread int, err error) {
	if l.closed.Swap(true) {
		return 0, nil
	}
	unread, err = l.conn.Close()
	return unread + l.resolver.Close(), err
}

// Caps implements [link.Link].
func (l *Link) Caps() link.Caps { return link.Caps{Address: l.cfg.Address, Counters: l.counters} }
