// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package unixsock

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// A Listener accepts connections.
type Listener interface {
	// Accept waits for a connection and returns its descriptor.
	Accept() (fd int, err error)

	// Close wakes Accept.
	Close() error
}

// A listener is a unix socket as a Listener.
type listener struct{ f *os.File }

// NewListener returns the listening socket fd as a Listener, which owns it.
func NewListener(fd int, name string) (Listener, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.SetDeadline(time.Time{}); err != nil {
		f.Close()
		return nil, err
	}
	return &listener{f}, nil
}

// Accept implements [Listener].
func (l *listener) Accept() (fd int, err error) {
	raw, err := l.f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Read(func(listening uintptr) bool {
		fd, _, err = unix.Accept4(int(listening), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return err != unix.EAGAIN && err != unix.EINTR
	}); e != nil {
		return -1, net.ErrClosed
	}
	return fd, os.NewSyscallError("accept4", err)
}

// Close implements [Listener].
func (l *listener) Close() error { return l.f.Close() }

// A ServerConfig describes a server. Listener and Admit are required.
type ServerConfig struct {
	Listener Listener

	// Admit makes a link of an accepted connection, which it owns. It may wait
	// for the peer, until ctx ends; others are admitted meanwhile.
	Admit func(ctx context.Context, fd int) (link.Link, error)

	// Refuse is called with a connection that comes while there is a peer, and
	// closes it. nil closes it.
	Refuse func(fd int)

	// OnClose is called at Close of the link, after the listener is closed.
	OnClose func()

	// Address is the locator of the server.
	Address string
}

const (
	// admitTime is how long Admit may take: a peer who says nothing loses its turn.
	admitTime = 2 * time.Second

	// endGrace is how long a connection that comes while there is a peer waits for
	// the end of the latter: a peer that starts anew may connect before the end of
	// its last connection was noticed.
	endGrace = 100 * time.Millisecond

	// maxAdmitting is how many connections are being admitted or refused at once.
	// Others wait in the backlog.
	maxAdmitting = 16
)

// Serve returns a link to the peers that connect to a listener, one at a time: it is
// down until the first comes, and when one has gone, until the next.
func Serve(ctx context.Context, cfg ServerConfig) (link.Link, error) {
	if cfg.Refuse == nil {
		cfg.Refuse = func(fd int) { unix.Close(fd) }
	}
	s := &server{cfg: cfg, next: make(chan link.Link), slots: make(chan struct{}, maxAdmitting)}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l, err := link.Redial(ctx, s.dial, link.RedialPolicy{MinDelay: time.Millisecond, MaxDelay: time.Millisecond, FirstDial: true})
	if err != nil { // the policy is one of ours, so there is none
		s.cancel()
		return nil, err
	}
	s.Link = l
	s.running.Go(s.accept)
	return s, nil
}

// A server is the link that Serve returns.
type server struct {
	link.Link
	cfg     ServerConfig
	ctx     context.Context // cancelled by Close
	cancel  context.CancelFunc
	running sync.WaitGroup
	closing sync.Once
	slots   chan struct{}  // one for each connection being admitted
	next    chan link.Link // to dial

	mu      sync.Mutex
	current link.Link // guarded by mu; the last peer, or who is about to be the next one
}

// dial waits for the next peer.
func (s *server) dial(ctx context.Context) (link.Link, error) {
	select {
	case l := <-s.next:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// accept accepts connections until Close.
func (s *server) accept() {
	for pause := time.Millisecond; ; {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		fd, err := s.cfg.Listener.Accept()
		if err == nil {
			pause = time.Millisecond
			s.running.Go(func() {
				defer func() { <-s.slots }()
				s.admit(fd)
			})
			continue
		}
		<-s.slots
		if errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil {
			return
		}
		// Such as a lack of descriptors.
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, time.Second)
	}
}

// admit makes the connection fd the next peer, or refuses it.
func (s *server) admit(fd int) {
	if !s.free() {
		s.cfg.Refuse(fd)
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, admitTime)
	defer cancel()
	l, err := s.cfg.Admit(ctx, fd)
	if err != nil {
		return
	}
	s.mu.Lock()
	won := s.current == nil || s.current.Err() != nil
	if won {
		s.current = l // before anybody can notice that it is
	}
	s.mu.Unlock()
	if won {
		select {
		case s.next <- l:
			return
		case <-s.ctx.Done():
		}
	}
	_, _ = l.Close()
}

// free reports whether there is no peer, having given one that may just have gone a
// moment.
func (s *server) free() bool {
	s.mu.Lock()
	current := s.current
	s.mu.Unlock()
	if current == nil {
		return true
	}
	timer := time.NewTimer(endGrace)
	defer timer.Stop()
	select {
	case <-current.Done():
		return true
	case <-timer.C:
	case <-s.ctx.Done():
	}
	return false
}

// Close implements [link.Link].
func (s *server) Close() (unread int, err error) {
	s.cancel()
	e := s.cfg.Listener.Close()
	s.running.Wait()
	unread, err = s.Link.Close()
	if s.cfg.OnClose != nil {
		s.closing.Do(s.cfg.OnClose)
	}
	if errors.Is(e, os.ErrClosed) || errors.Is(e, net.ErrClosed) {
		e = nil // not the first Close
	}
	return unread, errors.Join(err, e)
}

// Caps implements [link.Link].
func (s *server) Caps() link.Caps {
	c := s.Link.Caps()
	c.Address = s.cfg.Address
	return c
}
