// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net"
	"os"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// A socket is a gVisor endpoint that can be waited for: what TCPConn, UDPConn,
// Listener and the rest have in common.
type socket struct {
	h  *Host
	ep tcpip.Endpoint
	wq *waiter.Queue
	v6 bool

	rd, wd  deadline
	closing chan struct{} // closed by close
	once    sync.Once

	// Registered with wq for the socket's life, so that waiting allocates
	// nothing. Each channel has one waiter, who holds the mutex.
	rmu, wmu           sync.Mutex
	readable, writable notice
}

// A notice is a channel that gets a token at an event.
type notice struct {
	entry waiter.Entry
	ch    chan struct{}
}

func (n *notice) register(wq *waiter.Queue, mask waiter.EventMask) {
	n.ch = make(chan struct{}, 1)
	n.entry.Init(waiter.ChannelNotifier(n.ch), mask|waiter.EventErr|waiter.EventHUp)
	wq.EventRegister(&n.entry)
}

// init takes over ep.
func (s *socket) init(h *Host, ep tcpip.Endpoint, wq *waiter.Queue, v6 bool) {
	s.h, s.ep, s.wq, s.v6 = h, ep, wq, v6
	s.rd, s.wd = makeDeadline(), makeDeadline()
	s.closing = make(chan struct{})
	s.readable.register(wq, waiter.ReadableEvents)
	s.writable.register(wq, waiter.WritableEvents)
}

// close closes the endpoint and wakes who waits. It returns false if that has
// been done before.
func (s *socket) close() (first bool) {
	s.once.Do(func() {
		first = true
		close(s.closing)
		s.wq.EventUnregister(&s.readable.entry)
		s.wq.EventUnregister(&s.writable.entry)
		s.ep.Close()
		s.rd.set(time.Time{})
		s.wd.set(time.Time{})
	})
	return first
}

// ended returns why nothing can be done with the socket any more, or nil.
func (s *socket) ended() error {
	if isDone(s.closing) {
		return net.ErrClosed
	}
	return s.h.Err()
}

// passed reports the end of the socket or of d before an operation starts.
func (s *socket) passed(d *deadline) error {
	if isDone(s.closing) {
		return net.ErrClosed
	}
	if isDone(d.done()) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait returns nil when n has news, or why there is no point in waiting.
func (s *socket) wait(n *notice, d *deadline) error {
	select {
	case <-n.ch:
		return nil
	case <-s.closing:
		return net.ErrClosed
	case <-d.done():
		return os.ErrDeadlineExceeded
	case <-s.h.done:
		return s.h.Err()
	}
}

// failure dresses what the stack returned. The end of the connection or of the
// socket explains more than the error that followed from it.
func (s *socket) failure(call string, err tcpip.Error) error {
	if end := s.ended(); end != nil {
		return end
	}
	return errno(call, err)
}

func wouldBlock(err tcpip.Error) bool {
	_, is := err.(*tcpip.ErrWouldBlock)
	return is
}

// local and remote return the endpoint's addresses at this moment.
func (s *socket) local(proto string) net.Addr {
	full, err := s.ep.GetLocalAddress()
	if err != nil {
		full = tcpip.FullAddress{}
	}
	return netAddr(proto, addrPort(full), s.v6)
}

func (s *socket) remote(proto string) net.Addr {
	full, err := s.ep.GetRemoteAddress()
	if err != nil {
		return nil
	}
	return netAddr(proto, addrPort(full), s.v6)
}

// SetDeadline sets both deadlines, for pending calls too.
func (s *socket) SetDeadline(t time.Time) error {
	if isDone(s.closing) {
		return s.setError()
	}
	s.rd.set(t)
	s.wd.set(t)
	return nil
}

// SetReadDeadline sets the deadline of reads, for pending calls too.
func (s *socket) SetReadDeadline(t time.Time) error {
	if isDone(s.closing) {
		return s.setError()
	}
	s.rd.set(t)
	return nil
}

// SetWriteDeadline sets the deadline of writes, for pending calls too. While the
// other side of the network stands still a write can be a second late.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if isDone(s.closing) {
		return s.setError()
	}
	s.wd.set(t)
	return nil
}

func (s *socket) setError() error {
	return &net.OpError{Op: "set", Net: "ip", Err: net.ErrClosed}
}
