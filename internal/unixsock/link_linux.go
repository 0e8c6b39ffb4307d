// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package unixsock

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A Config describes a [Link].
type Config struct {
	Address string // of the other side, as a locator

	// Packets says that the socket is of kind SOCK_SEQPACKET: it has an end, of
	// which the kernel tells, and an empty packet looks like it. Otherwise it is a
	// connected datagram socket, of whose end only Alive can tell.
	Packets bool

	// Alive reports whether the peer of a datagram socket is still there. It is
	// called every aliveEvery.
	Alive func() bool

	// Skip, if not nil, reports whether a datagram is none of a frame, such as a
	// greeting, and is left out. It is asked about datagrams of up to 4 bytes.
	Skip func(b []byte) bool

	// EmptyEnds says that an empty datagram is the end, and has Close send one.
	EmptyEnds bool

	// BeforeConnect holds frames that came before the socket was connected to the
	// peer. Recv returns them first. Foreign counts what others had sent.
	BeforeConnect [][]byte
	Foreign       int

	// OnEnd, if not nil, is called once, at the end or at Close.
	OnEnd func()
}

// aliveEvery is how often the peer of a datagram socket is looked for. Until that is
// found gone, the next one cannot send: the kernel lets only the peer do so.
const aliveEvery = 250 * time.Millisecond

// A Link is a connected socket as a [link.Link], on which one message is one frame.
type Link struct {
	sock     *sockio.Socket
	cfg      Config
	counters func() link.Counters

	closed  atomic.Bool
	closing chan struct{}
	running sync.WaitGroup
	endOnce sync.Once
	onEnd   sync.Once
	done    chan struct{} // closed when the other side has ended the link
	cause   error         // written before done is closed

	mu     sync.Mutex
	before [][]byte // guarded by mu; what is left of cfg.BeforeConnect
	some   atomic.Bool
}

var _ link.Link = (*Link)(nil)

// NewLink returns a link over fd, a connected socket, which it owns from then on and
// closes on failure.
func NewLink(fd int, cfg Config) (*Link, error) {
	l := &Link{cfg: cfg, before: cfg.BeforeConnect, done: make(chan struct{}), closing: make(chan struct{})}
	l.some.Store(len(l.before) > 0)
	transport.RefuseDescriptors(fd) // fails on old kernels
	l.counters = func() link.Counters { return link.Counters{Foreign: uint64(cfg.Foreign)} }
	var watch *Watcher
	if cfg.Packets {
		var err error
		if watch, err = NewWatcher(fd, unix.EPOLLRDHUP, cfg.Address); err != nil {
			unix.Close(fd)
			return nil, err
		}
	}
	sock, err := sockio.New(fd, cfg.Address, false)
	if err != nil {
		if watch != nil {
			watch.Close()
		}
		return nil, err
	}
	l.sock = sock
	switch {
	case watch != nil:
		l.running.Go(func() { l.awaitHangup(watch) })
	case cfg.Alive != nil:
		l.running.Go(l.lookForPeer)
	}
	return l, nil
}

// awaitHangup waits for the end of a connection.
func (l *Link) awaitHangup(w *Watcher) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if w.Wait(time.Time{}) == nil {
			l.end(link.ErrHangup)
		}
	}()
	select {
	case <-ended:
	case <-l.closing:
	}
	w.Close()
	<-ended
}

// lookForPeer looks for the peer until it has gone.
func (l *Link) lookForPeer() {
	ticker := time.NewTicker(aliveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !l.cfg.Alive() {
				l.end(link.ErrHangup)
				return
			}
		case <-l.done:
			return
		case <-l.closing:
			return
		}
	}
}

// end notes the end of the link.
func (l *Link) end(cause error) {
	l.endOnce.Do(func() {
		if l.closed.Load() {
			return
		}
		l.atEnd()
		l.cause = cause
		close(l.done)
		l.sock.Hangup()
	})
}

func (l *Link) atEnd() {
	if l.cfg.OnEnd != nil {
		l.onEnd.Do(l.cfg.OnEnd)
	}
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

// reason returns why a call failed with err: the end of the link, or Close.
func (l *Link) reason(err error) error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	if cause := l.Err(); cause != nil {
		return cause
	}
	return err
}

// Recv implements [link.Link].
func (l *Link) Recv(r link.Rx) (n int, err error) {
	if min(len(r.Bufs), len(r.Sizes)) == 0 {
		return 0, nil
	}
	if l.some.Load() {
		if n := l.recvBefore(r); n > 0 {
			return n, nil
		}
	}
	for {
		n, err := l.sock.Recv(r)
		switch {
		case err == nil:
			if n = l.sift(r, n); n > 0 {
				return n, nil
			}
			if cause := l.Err(); cause != nil && l.cfg.Packets {
				return 0, cause
			}
		case err == link.ErrEmpty:
			return 0, err
		case errors.Is(err, unix.ECONNRESET):
			// The other side has closed with frames of ours unread. This is said
			// before what it had sent.
		case errors.Is(err, transport.ErrDrained):
			return 0, l.reason(err)
		default:
			return 0, err
		}
	}
}

// recvBefore is Recv from what came before the connection.
func (l *Link) recvBefore(r link.Rx) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; n < min(len(r.Bufs), len(r.Sizes), len(l.before)); n++ {
		copy(r.Bufs[n], l.before[n])
		r.Sizes[n] = len(l.before[n])
	}
	if r.Headers != nil {
		clear(r.Headers[:n])
	}
	l.before = l.before[n:]
	l.some.Store(len(l.before) > 0)
	return n
}

// sift removes what is no frame from the n messages received, and returns how many
// are left. Where there is nothing to remove, which is nearly always, it only looks
// at the sizes.
func (l *Link) sift(r link.Rx, n int) int {
	kept := 0
	for i, size := range r.Sizes[:n] {
		if size <= 4 {
			switch {
			case size > 0:
				if l.cfg.Skip != nil && l.cfg.Skip(r.Bufs[i][:min(size, len(r.Bufs[i]))]) {
					continue
				}
			case l.cfg.Packets && l.ended():
				// The end reads as empty packets. Only empty ones can be between
				// this and the next frame.
				l.end(link.ErrHangup)
				continue
			case l.cfg.EmptyEnds:
				l.end(link.ErrHangup)
				continue
			}
		}
		if kept != i {
			copy(r.Bufs[kept], r.Bufs[i][:min(size, len(r.Bufs[i]))])
			if size > len(r.Bufs[i]) {
				size = max(size, len(r.Bufs[kept])+1) // it is cut off in either
			}
			r.Sizes[kept] = size
		}
		kept++
	}
	return kept
}

// ended reports whether the peer has closed its end, or we have ours, and nothing is
// left to receive.
func (l *Link) ended() (ended bool) {
	err := l.sock.Caps().Raw.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(fds[:], 0); err != nil || n == 0 || fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) == 0 {
			return
		}
		left, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		ended = err == nil && left == 0
	})
	return ended || err != nil
}

// Send implements [link.Link]. Empty frames are not sent: an empty message means
// something else.
func (l *Link) Send(t link.Tx) (n, calls int, err error) {
	for n < t.Len() {
		if err := l.sendable(); err != nil {
			return n, calls, err
		}
		if t.Size(n) == 0 {
			n++
			continue
		}
		k, c, err := l.sock.Send(upToEmpty(t.From(n)))
		n, calls = n+k, calls+c
		if err != nil {
			return n, calls, l.sendError(err)
		}
	}
	return n, calls, nil
}

// upToEmpty returns t up to its first empty frame.
func upToEmpty(t link.Tx) link.Tx {
	for i := range t.Len() {
		if t.Size(i) > 0 {
			continue
		}
		if t.Pieces != nil {
			t.Pieces = t.Pieces[:i]
		} else {
			t.Frames = t.Frames[:i]
		}
		break
	}
	return t
}

// sendable returns why nothing can be sent.
func (l *Link) sendable() error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	return l.Err()
}

// sendError returns what a failure of the socket to send means here.
func (l *Link) sendError(err error) error {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		switch errno {
		case unix.EPIPE, unix.ECONNRESET, unix.ECONNREFUSED, unix.ENOTCONN, unix.EDESTADDRREQ, unix.EPERM:
			l.end(fmt.Errorf("%w: %w", link.ErrHangup, err))
			return l.reason(err)
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l.reason(err) // the end may have woken the send
	}
	return err
}

// AwaitRoom implements [link.Link].
func (l *Link) AwaitRoom() error {
	if err := l.sendable(); err != nil {
		return err
	}
	if err := l.sock.AwaitRoom(); err != nil {
		return l.sendError(err)
	}
	return nil
}

// SetReadDeadline implements [link.Link].
func (l *Link) SetReadDeadline(t time.Time) error { return l.sock.SetReadDeadline(t) }

// SetWriteDeadline implements [link.Link].
func (l *Link) SetWriteDeadline(t time.Time) error { return l.sock.SetWriteDeadline(t) }

// Close implements [link.Link].
func (l *Link) Close() (unread int, err error) {
	if l.closed.Swap(true) {
		return 0, nil
	}
	close(l.closing)
	l.atEnd() // first, so that a peer that starts anew does not find the name
	if l.cfg.EmptyEnds && l.Err() == nil {
		_ = l.sock.Caps().Raw.Control(func(fd uintptr) {
			_ = unix.Send(int(fd), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) // it may be gone already
		})
	}
	unread, err = l.sock.Close()
	l.mu.Lock()
	unread += len(l.before)
	l.before = nil
	l.some.Store(false)
	l.mu.Unlock()
	l.running.Wait()
	return unread, err
}

// Caps implements [link.Link].
func (l *Link) Caps() link.Caps {
	c := l.sock.Caps()
	c.Address, c.Counters = l.cfg.Address, l.counters
	return c
}
