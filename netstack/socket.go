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

// A socket is a transport endpoint of the stack with deadlines and Close. TCPConn,
// UDPConn and TCPListener embed it.
type socket struct {
	h       *Host
	ep      tcpip.Endpoint
	wq      *waiter.Queue
	v6      bool
	network string   // of Dial or Listen
	laddr   net.Addr // the local address

	rd, wd  deadline
	closing chan struct{} // closed by close
	once    sync.Once

	// Both are registered with wq until close, so that waiting does not allocate.
	// Only the holder of rmu waits for readable, and only that of wmu for writable.
	rmu, wmu           sync.Mutex
	readable, writable notice
}

// A notice is a channel of capacity 1 that receives a value at an event.
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
func (s *socket) init(h *Host, network string, ep tcpip.Endpoint, wq *waiter.Queue, v6 bool) {
	s.h, s.network, s.ep, s.wq, s.v6 = h, network, ep, wq, v6
	s.rd, s.wd = makeDeadline(), makeDeadline()
	s.closing = make(chan struct{})
	s.readable.register(wq, waiter.ReadableEvents)
	s.writable.register(wq, waiter.WritableEvents)
}

// close closes the endpoint and wakes the calls that wait. It returns false if the
// socket was closed before.
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

// ended returns net.ErrClosed after close, the reason for the end of the host after
// that, and otherwise nil.
func (s *socket) ended() error {
	if isDone(s.closing) {
		return net.ErrClosed
	}
	return s.h.Err()
}

// passed returns an error if the socket has been closed or d has passed.
func (s *socket) passed(d *deadline) error {
	if isDone(s.closing) {
		return net.ErrClosed
	}
	if isDone(d.done()) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// wait returns nil after an event of n. It returns an error when the socket has been
// closed, d has passed, or the host has ended.
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

// failure translates an error of the stack. If the socket or the host has ended, it
// returns the reason for that, which has caused the error.
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

// local and remote return the current addresses of the endpoint.
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

// SetDeadline sets both deadlines, also for calls that wait already.
func (s *socket) SetDeadline(t time.Time) error {
	if isDone(s.closing) {
		return s.setError()
	}
	s.rd.set(t)
	s.wd.set(t)
	return nil
}

// SetReadDeadline sets the deadline of reads, also for calls that wait already.
func (s *socket) SetReadDeadline(t time.Time) error {
	if isDone(s.closing) {
		return s.setError()
	}
	s.rd.set(t)
	return nil
}

// SetWriteDeadline sets the deadline of writes, also for calls that wait already.
// While the peer of the connection to the network is stopped, a write can return up
// to a second late.
func (s *socket) SetWriteDeadline(t time.Time) error {
	if isDone(s.closing) {
		return s.setError()
	}
	s.wd.set(t)
	return nil
}

// setReadBuffer and setWriteBuffer set the sizes of the buffers; the stack limits them.
func (s *socket) setReadBuffer(bytes int) error {
	if err := s.checkBuffer(bytes); err != nil {
		return err
	}
	s.ep.SocketOptions().SetReceiveBufferSize(int64(bytes), true)
	return nil
}

func (s *socket) setWriteBuffer(bytes int) error {
	if err := s.checkBuffer(bytes); err != nil {
		return err
	}
	s.ep.SocketOptions().SetSendBufferSize(int64(bytes), true)
	return nil
}

func (s *socket) checkBuffer(bytes int) error {
	switch {
	case isDone(s.closing):
		return net.ErrClosed
	case bytes < 0:
		return errno("setsockopt", &tcpip.ErrInvalidOptionValue{})
	}
	return nil
}

func (s *socket) setError() error {
	return &net.OpError{Op: "set", Net: s.network, Addr: s.laddr, Err: net.ErrClosed}
}
