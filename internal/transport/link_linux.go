// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// A Control is the control stream of a connection, as a [Link] needs it. It is a
// [Stream], or a stream that frames go through, too.
type Control interface {
	// Read waits for something that the other side sends after the handshake, and
	// returns [io.EOF] when it has closed the stream.
	Read(p []byte) (n int, err error)

	// Ended reports whether the other side has closed the stream, without reading.
	Ended() bool

	// Shutdown ends the stream for both sides, while it may still be in use.
	Shutdown()

	// Close closes the stream and wakes Read.
	Close() error
}

// A Config describes a [Link]. Stream and Transport are required, and are the
// Link's from then on.
type Config struct {
	Stream    Control
	Transport Transport

	// Address is the locator of the other side.
	Address string

	// BeforeConnect holds the frames, ordinary ones, that the other side sent
	// before the data socket was connected to it. Recv returns them first.
	BeforeConnect [][]byte

	// Foreign counts the frames that others sent before that.
	Foreign int

	// OnData is called with each byte that the other side sends on the control
	// stream after the handshake; the protocol has none. An error ends the link
	// with it. nil ignores them.
	OnData func() error

	// TakesPartial says that the other side has been told already that this one
	// takes GSO frames and partial checksums, so that they may come before the
	// first Recv with Headers. Where the transport says by its Caps that each
	// frame has metadata, that need not be said here.
	TakesPartial bool

	// Refuse has the transport refuse what the other side sends after it has
	// ended the control stream.
	Refuse bool

	// StreamFirst has Close close the control stream before the transport, so
	// that the other side knows before it sends to a socket that is gone.
	StreamFirst bool

	// OnClose, if not nil, is called when the link is closed.
	OnClose func()
}

// A Link is a VDE connection as a [link.Link]. One goroutine reads the control
// stream, whose end is the only sign that the other side has gone: a reader of a
// connected datagram socket is never told.
type Link struct {
	cfg       Config
	transport Transport

	done    chan struct{} // closed when the other side has ended the link
	endOnce sync.Once     //
	cause   error         // written before done is closed
	closing chan struct{} // closed by Close
	closed  atomic.Bool
	watcher sync.WaitGroup

	// beforeConnect holds those of cfg that are left to be received; nil if none.
	beforeConnect atomic.Pointer[[][]byte]

	// partial says that frames with metadata may come: a receive has asked for
	// it, the other side was told before, or the transport always gives it. Receives without Headers then go
	// through resolver.
	partial  atomic.Bool
	resolver gso.Resolver

	refusedAt atomic.Pointer[time.Time] // when a send first found the peer's data socket gone

	notifier notifier             // its Notifier is nil if the transport has none
	counters func() link.Counters // made once, because Caps is called for each send with metadata
	lost     func() link.Counters // of the transport; nil if it has none
}

var _ link.Link = (*Link)(nil)

// New returns the link of a finished handshake.
func New(cfg Config) *Link {
	l := &Link{cfg: cfg, transport: cfg.Transport, done: make(chan struct{}), closing: make(chan struct{})}
	if len(cfg.BeforeConnect) > 0 {
		l.beforeConnect.Store(&cfg.BeforeConnect)
	}
	caps := l.transport.Caps()
	l.partial.Store(cfg.TakesPartial || !caps.SharedMemory && caps.Offload != 0)
	l.notifier = notifier{link: l, Notifier: caps.Notifier}
	l.counters, l.lost = l.count, caps.Counters
	l.resolver.Source = func(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (int, error) {
		return l.transport.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers, NoWait: !wait})
	}
	l.watcher.Go(l.watch)
	return l
}

// watch reads the control stream until it ends.
func (l *Link) watch() {
	var b [64]byte
	for {
		n, err := l.cfg.Stream.Read(b[:])
		if n > 0 && l.cfg.OnData != nil {
			err = l.cfg.OnData()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), l.closed.Load():
			l.end(link.ErrHangup)
			return
		default:
			l.end(err)
			return
		}
	}
}

// end notes that the other side has ended the link, or that it is of no more use.
func (l *Link) end(cause error) {
	l.endOnce.Do(func() {
		l.cause = cause
		close(l.done)
		if l.cfg.Refuse {
			l.transport.Shut()
		}
		l.transport.Hangup()
	})
}

// Violated ends the link because the other side broke the rules, and frees the port at the other side.
func (l *Link) Violated(err error) {
	l.end(err)
	l.cfg.Stream.Shutdown()
}

// Done implements [link.Link].
func (l *Link) Done() <-chan struct{} { return l.done }

// Err implements [link.Link].
func (l *Link) Err() error {
	if !l.ended() {
		return nil
	}
	return l.cause
}

func (l *Link) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Recv implements [link.Link].
func (l *Link) Recv(r link.Rx) (n int, err error) {
	if frames := l.beforeConnect.Load(); frames != nil {
		return l.recvBeforeConnect(frames, r)
	}
	switch {
	case r.Headers != nil:
		if !l.partial.Load() && l.transport.Caps().SharedMemory {
			l.partial.Store(true)
		}
		n, err = l.recvWithHeaders(r)
	case l.partial.Load():
		n, err = l.resolver.Recv(r.Bufs, r.Sizes, !r.NoWait)
	default:
		n, err = l.transport.Recv(r)
	}
	if err != nil {
		err = l.recvError(err)
	}
	return n, err
}

// recvWithHeaders is Recv for a caller that takes partial frames.
func (l *Link) recvWithHeaders(r link.Rx) (n int, err error) {
	if !l.resolver.Pending() {
		return l.transport.Recv(r)
	}
	clear(r.Headers[:len(r.Bufs)]) // kept frames are ordinary
	return l.resolver.Recv(r.Bufs, r.Sizes, false)
}

// recvError returns what a failure of the transport to receive means here.
func (l *Link) recvError(err error) error {
	switch {
	case errors.Is(err, ErrDrained):
		if l.closed.Load() {
			return net.ErrClosed
		}
		return l.cause
	case errors.Is(err, link.ErrViolation), errors.Is(err, ErrUnreadable):
		l.Violated(err)
	}
	return err
}

// recvBeforeConnect is Recv from frames, what beforeConnect holds.
func (l *Link) recvBeforeConnect(frames *[][]byte, r link.Rx) (n int, err error) {
	for ; n < min(len(r.Bufs), len(r.Sizes), len(*frames)); n++ {
		copy(r.Bufs[n], (*frames)[n])
		r.Sizes[n] = len((*frames)[n])
	}
	if r.Headers != nil {
		clear(r.Headers[:n])
	}
	var rest *[][]byte
	if n < len(*frames) {
		left := (*frames)[n:]
		rest = &left
	}
	if !l.beforeConnect.CompareAndSwap(frames, rest) {
		return 0, net.ErrClosed // and Close has counted them
	}
	return n, nil
}

// Send implements [link.Link].
func (l *Link) Send(t link.Tx) (n, calls int, err error) {
	n, calls, err = l.transport.Send(t)
	if err != nil && err != link.ErrFull {
		err = l.sendError(err, !t.NoWait)
	}
	return n, calls, err
}

// AwaitRoom implements [link.Link].
func (l *Link) AwaitRoom() error {
	if err := l.transport.AwaitRoom(); err != nil {
		return l.sendError(err, false)
	}
	return nil
}

// sendError returns what a failure of the transport to send means here. wait is
// whether it may wait for the end of the control stream.
func (l *Link) sendError(err error, wait bool) error {
	switch {
	case l.closed.Load():
		return net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded) && l.ended():
		return l.cause // the end of the link woke the send
	case errors.Is(err, link.ErrViolation):
		l.Violated(err)
		return err
	case !refused(err):
		return err
	}
	// The peer's data socket is gone. It usually goes together with the control
	// stream, but not in the same moment: a process that dies closes its
	// descriptors one after the other.
	if wait {
		l.awaitEnd()
	}
	switch {
	case l.closed.Load():
		return fmt.Errorf("%w: %w", net.ErrClosed, err)
	case l.ended():
		return fmt.Errorf("%w: %w", l.cause, err)
	case l.cfg.Stream.Ended():
		return fmt.Errorf("%w: %w", link.ErrHangup, err)
	}
	return err
}

// refused reports whether err says that nobody is at the other end.
func refused(err error) bool {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT:
		return true
	}
	return false
}

// endGrace is how long sends that find the data socket gone wait for the control
// stream to follow, counted from the first of them.
const endGrace = 100 * time.Millisecond

// awaitEnd gives the link a moment to end.
func (l *Link) awaitEnd() {
	now := time.Now()
	l.refusedAt.CompareAndSwap(nil, &now)
	timer := time.NewTimer(endGrace - now.Sub(*l.refusedAt.Load()))
	defer timer.Stop()
	select {
	case <-l.done:
	case <-l.closing:
	case <-timer.C:
	}
}

// SetReadDeadline implements [link.Link].
func (l *Link) SetReadDeadline(t time.Time) error { return l.transport.SetReadDeadline(t) }

// SetWriteDeadline implements [link.Link].
func (l *Link) SetWriteDeadline(t time.Time) error { return l.transport.SetWriteDeadline(t) }

// Close implements [link.Link].
func (l *Link) Close() (unread int, err error) {
	if l.closed.Swap(true) {
		return 0, nil
	}
	close(l.closing)
	if l.cfg.OnClose != nil {
		l.cfg.OnClose()
	}
	// The other side forgets the port when the stream ends.
	if l.cfg.StreamFirst {
		err = l.cfg.Stream.Close()
	}
	unread, e := l.transport.Close()
	if frames := l.beforeConnect.Swap(nil); frames != nil {
		unread += len(*frames)
	}
	unread += l.resolver.Close()
	if !l.cfg.StreamFirst {
		err = l.cfg.Stream.Close()
	}
	err = errors.Join(e, err)
	l.watcher.Wait()
	return unread, err
}

// Caps implements [link.Link].
func (l *Link) Caps() link.Caps {
	c := l.transport.Caps()
	c.Address, c.Counters = l.cfg.Address, l.counters
	if c.Notifier != nil {
		c.Notifier = &l.notifier
	}
	return c
}

// A notifier is that of the transport, whose errors become those of the link.
type notifier struct {
	link.Notifier
	link *Link
}

// Serve implements [link.Notifier].
func (n *notifier) Serve(r link.Receiver) { n.Notifier.Serve(&receiver{r, n.link}) }

// RecvPlaced implements [link.Notifier].
func (n *notifier) RecvPlaced(p link.Placer, limit int) (int, error) {
	k, err := n.Notifier.RecvPlaced(p, limit)
	if err != nil && err != link.ErrEmpty {
		err = n.link.recvError(err)
	}
	return k, err
}

// A receiver is the one given to Serve.
type receiver struct {
	link.Receiver
	link *Link
}

// Ended implements [link.Receiver].
func (r *receiver) Ended(err error) { r.Receiver.Ended(r.link.recvError(err)) }

func (l *Link) count() link.Counters {
	c := link.Counters{Foreign: uint64(l.cfg.Foreign), Discarded: uint64(l.resolver.Late())}
	if l.lost != nil {
		c.Unsent = l.lost().Unsent
	}
	return c
}
