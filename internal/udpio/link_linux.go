// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/link"
)

// A Source is where a link receives from. Take and Close are called by one
// goroutine at a time.
type Source interface {
	// Descriptors returns what to wait for readability of. They stay open until
	// Close.
	Descriptors() []int

	// Take receives frames without waiting. again says that none was found, but
	// that there may be more to look at.
	Take(rx *link.Rx) (n int, again bool, err error)

	// Close closes what Descriptors returned and returns the number of frames
	// that were not received.
	Close() (unread int)
}

// A Config describes a link.
type Config struct {
	Address string // what the link is connected to, as a locator
	Source  Source
	Sockets []int // to send from; the link owns those of which Owned is true
	Owned   bool
	Router  Router

	// Foreign returns how many datagrams were received that have no place in the
	// network.
	Foreign func() uint64

	// Discarded, if not nil, returns how many frames of the network had no place
	// in a queue.
	Discarded func() uint64

	// Farewell, if not nil, is called at Close while the sockets are open.
	Farewell func()
}

// A Link is a [link.Link] on UDP sockets. Nothing but Close ends it.
type Link struct {
	cfg    Config
	rx, tx waiter

	recvMu sync.Mutex // held for a whole receive; guards what follows
	rxNow  link.Rx
	n      int
	recvd  error
	failed int           // receives in a row that failed, with nothing to wait for in between
	take   func() bool   // takeOnce, made once
	takeUp func(uintptr) // the same, for hold

	gso       segmentation
	wait, try sender // sends that wait, and those that do not, which never queue behind them

	mu     sync.Mutex // orders changes of deadlines against Close
	closed atomic.Bool
	done   chan struct{} // never closed

	unsent   atomic.Uint64
	counters func() link.Counters
}

var _ link.Link = (*Link)(nil)

// NewLink returns a link. On failure everything in cfg is still the caller's.
func NewLink(cfg Config) (*Link, error) {
	l := &Link{cfg: cfg, done: make(chan struct{})}
	if err := l.rx.open(cfg.Address, unix.EPOLLIN, cfg.Source.Descriptors()); err != nil {
		return nil, err
	}
	if err := l.tx.open(cfg.Address, unix.EPOLLOUT, cfg.Sockets); err != nil {
		l.rx.close()
		return nil, err
	}
	if segments(cfg.Sockets[0]) {
		l.gso.set(maxPayload)
	}
	l.take = l.takeOnce
	l.takeUp = func(uintptr) { l.takeOnce() }
	l.wait.init(l, true)
	l.try.init(l, false)
	count := func(uintptr) { l.unsent.Add(l.refusals()) }
	l.counters = func() link.Counters {
		_ = l.tx.hold(count) // fails after Close, which counts
		c := link.Counters{Foreign: cfg.Foreign(), Unsent: l.unsent.Load()}
		if cfg.Discarded != nil {
			c.Discarded = cfg.Discarded()
		}
		return c
	}
	return l, nil
}

// Recv implements [link.Link].
func (l *Link) Recv(rx link.Rx) (n int, err error) {
	if min(len(rx.Bufs), len(rx.Sizes)) == 0 {
		return 0, nil
	}
	l.recvMu.Lock()
	defer l.recvMu.Unlock()
	l.rxNow = rx
	defer func() { l.rxNow = link.Rx{} }()
	for l.failed = 0; ; {
		if l.closed.Load() {
			return 0, net.ErrClosed
		}
		l.n, l.recvd = 0, nil
		if rx.NoWait {
			err = l.rx.hold(l.takeUp)
		} else {
			err = l.rx.wait(l.take)
		}
		switch {
		case err != nil:
			return 0, l.translate(err)
		case l.n > 0:
			return l.n, nil
		case l.recvd != nil:
			// The kernel tells once of a datagram that was refused elsewhere, or
			// could not be forwarded.
			l.unsent.Add(max(l.refusals(), 1))
			if l.failed++; l.failed == maxFailed {
				return 0, fmt.Errorf("recvmmsg: %w", l.recvd)
			}
		case rx.NoWait:
			return 0, link.ErrEmpty
		}
	}
}

// refusals returns how many datagrams were refused elsewhere, as far as that is not
// counted yet.
func (l *Link) refusals() (n uint64) {
	for _, fd := range l.cfg.Sockets {
		n += refusals(fd)
	}
	return n
}

// maxFailed is how many receives in a row may fail before Recv tells of it. While frames
// are refused elsewhere one fails for each of them, in its time.
const maxFailed = 64

// takeOnce receives without waiting. It reports false if there is nothing.
func (l *Link) takeOnce() bool {
	var again bool
	l.n, again, l.recvd = l.cfg.Source.Take(&l.rxNow)
	if l.n > 0 || again || l.recvd != nil {
		return true
	}
	l.failed = 0
	return false
}

// Send implements [link.Link].
func (l *Link) Send(t link.Tx) (n, calls int, err error) {
	s := &l.wait
	if t.NoWait {
		s = &l.try
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.closed.Load() {
		return 0, 0, net.ErrClosed
	}
	n, calls, err = s.send(&t)
	return n, calls, l.translate(err)
}

// AwaitRoom implements [link.Link].
func (l *Link) AwaitRoom() error {
	return l.translate(l.tx.wait(func() bool {
		for _, fd := range l.cfg.Sockets {
			fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if n, err := unix.Poll(fds[:], 0); n == 0 && err == nil {
				return false
			}
		}
		return true
	}))
}

// SetReadDeadline implements [link.Link].
func (l *Link) SetReadDeadline(t time.Time) error { return l.setDeadline(&l.rx, t) }

// SetWriteDeadline implements [link.Link].
func (l *Link) SetWriteDeadline(t time.Time) error { return l.setDeadline(&l.tx, t) }

func (l *Link) setDeadline(w *waiter, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return net.ErrClosed
	}
	return l.translate(w.setDeadline(t))
}

// Done implements [link.Link].
func (l *Link) Done() <-chan struct{} { return l.done }

// Err implements [link.Link].
func (l *Link) Err() error { return nil }

// Close implements [link.Link].
func (l *Link) Close() (unread int, err error) {
	l.mu.Lock()
	if l.closed.Swap(true) {
		l.mu.Unlock()
		return 0, nil
	}
	// A receive that waits lets go; one that has frames returns them.
	_ = l.rx.setDeadline(deadline.Past())
	l.mu.Unlock()
	err = l.tx.close()
	if l.cfg.Farewell != nil {
		l.cfg.Farewell()
	}
	l.recvMu.Lock()
	defer l.recvMu.Unlock()
	err = errors.Join(err, l.rx.close())
	l.unsent.Add(l.refusals())
	unread = l.cfg.Source.Close()
	if l.cfg.Owned {
		for _, fd := range l.cfg.Sockets {
			unix.Close(fd)
		}
	}
	return unread, err
}

// Caps implements [link.Link].
func (l *Link) Caps() link.Caps { return link.Caps{Address: l.cfg.Address, Counters: l.counters} }

// translate gives closing its one public name.
func (l *Link) translate(err error) error {
	if err != nil && l.closed.Load() {
		return net.ErrClosed
	}
	return err
}
