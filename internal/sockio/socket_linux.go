// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// MaxBatch is the largest number of datagrams moved by one system call. Per
// datagram the kernel's own work dominates from 8 on (the curve is flat after
// 32), so a larger number would only cost scratch memory.
const MaxBatch = 64

// A Socket is a connected datagram socket on the runtime poller. Each datagram
// is one frame, behind a virtio-net header if it was opened with headers.
//
// Receives are serialized with receives and sends with sends; the two
// directions, the deadlines and Close may overlap freely.
type Socket struct {
	desc    descriptor
	headers bool

	mu     sync.Mutex  // orders deadline changes against Hangup and Close
	closed atomic.Bool // written with mu held, before the descriptor is closed
	hungUp atomic.Bool // written with mu held

	rx  receiver // receives
	tx  sender   // sends that wait
	try sender   // sends that do not wait, apart so that they never queue behind one that does
}

var _ transport.Transport = (*Socket)(nil)

// New takes ownership of the descriptor fd, makes it non-blocking and lets its
// calls wait on the runtime poller. headers says that each datagram begins with
// a virtio-net header, in both directions. On failure fd is closed.
func New(fd int, name string, headers bool) (*Socket, error) {
	s := &Socket{headers: headers}
	if err := s.desc.open(fd, name); err != nil {
		return nil, err
	}
	s.rx.init(s.desc.fd, headers)
	s.tx.init(s.desc.fd, true, headers)
	s.try.init(s.desc.fd, false, headers)
	return s, nil
}

// Recv implements [transport.Transport], for at most MaxBatch frames a call.
// With NoWait it returns [link.ErrEmpty] if no datagram comes within some
// microseconds. A datagram that is not what its virtio-net header says gets the
// size 1: it is no frame.
//
// A socket with headers gives partial frames even to a caller without Headers,
// who must not be one.
func (s *Socket) Recv(rx link.Rx) (n int, err error) {
	want := min(len(rx.Bufs), len(rx.Sizes), MaxBatch)
	if want == 0 {
		return 0, nil
	}
	r := &s.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	r.load(rx.Bufs[:want])
	defer r.unload(want)
	if err := s.receive(r, !rx.NoWait); err != nil {
		return 0, err
	}
	r.store(rx)
	return r.n, nil
}

// receive runs the batch loaded into r; r.mu is held.
func (s *Socket) receive(r *receiver, wait bool) error {
	if !s.hungUp.Load() {
		err := s.desc.read(r.step, wait)
		if err == nil {
			return r.result()
		}
		if wait && !s.hungUp.Load() {
			return s.translate(err)
		}
	}
	// A past deadline forbids even to try; hold does not look at it.
	hungUp := s.hungUp.Load()
	if err := s.desc.hold(r.tryStep); err != nil {
		return s.translate(err)
	}
	err := r.result()
	if hungUp && err == link.ErrEmpty {
		return transport.ErrDrained
	}
	return err
}

// Send implements [transport.Transport]. A frame may have any number of pieces;
// beyond the system's limit on one message (1024) it fails with EMSGSIZE.
func (s *Socket) Send(tx link.Tx) (n, calls int, err error) {
	t := s.sender(!tx.NoWait)
	t.mu.Lock()
	defer t.mu.Unlock()
	for n < tx.Len() {
		k := t.load(&tx, n)
		sent, c, err := s.run(t, k)
		n, calls = n+sent, calls+c
		if err != nil {
			return n, calls, err
		}
	}
	return n, calls, nil
}

// sender picks the scratch space of sends that wait or of those that do not.
func (s *Socket) sender(wait bool) *sender {
	if wait {
		return &s.tx
	}
	return &s.try
}

// run sends the k datagrams loaded into t; t.mu is held.
func (s *Socket) run(t *sender, k int) (sent, calls int, err error) {
	if t.wait {
		err = s.desc.write(t.step)
	} else {
		err = s.desc.hold(t.tryStep)
	}
	sent, calls = t.next, t.calls
	errno := t.errno
	t.unload(k)
	switch {
	case err != nil:
		return sent, calls, s.translate(err)
	case errno == unix.EAGAIN:
		return sent, calls, link.ErrFull
	case errno != 0:
		return sent, calls, os.NewSyscallError(sendCall, errno)
	}
	return sent, calls, nil
}

// AwaitRoom waits until the kernel's queue has room again, which on Linux is when
// three quarters of it are free, or until the write deadline.
func (s *Socket) AwaitRoom() error { return s.translate(s.desc.write(roomy)) }

// roomy reports whether the queue of fd has room. It asks the kernel: the runtime
// poller knows only of changes since the wait began.
func roomy(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// Shut refuses what the other side sends from here on; what it sent before can
// still be received.
func (s *Socket) Shut() {
	_ = s.desc.hold(func(uintptr) { _ = unix.Shutdown(int(s.desc.fd), unix.SHUT_RD) }) // fails if closed, as does all
}

// Hangup ends waiting for good: pending and later receives take what the kernel
// still holds and then return [transport.ErrDrained]; pending and later waiting sends
// fail with [os.ErrDeadlineExceeded] instead of waiting. It is idempotent.
func (s *Socket) Hangup() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hungUp.Store(true)
	// These fail only when closed, which wakes everybody too.
	_ = s.desc.setReadDeadline(deadline.Past())
	_ = s.desc.setWriteDeadline(deadline.Past())
}

// SetReadDeadline bounds pending and later receives; zero means no bound. After
// Hangup it has no effect, after Close it fails.
func (s *Socket) SetReadDeadline(t time.Time) error {
	return s.setDeadline(s.desc.setReadDeadline, t)
}

// SetWriteDeadline is SetReadDeadline for sends that wait.
func (s *Socket) SetWriteDeadline(t time.Time) error {
	return s.setDeadline(s.desc.setWriteDeadline, t)
}

func (s *Socket) setDeadline(set func(time.Time) error, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed.Load():
		return net.ErrClosed
	case s.hungUp.Load():
		return nil
	}
	return s.translate(set(t))
}

// Close takes what the kernel still holds for this socket, so that the caller
// can account for it, closes the descriptor and wakes every call, which returns
// [net.ErrClosed]. unread is the number of datagrams thrown away. Calls after
// the first return 0 and nil.
func (s *Socket) Close() (unread int, err error) {
	s.mu.Lock()
	if s.closed.Swap(true) {
		s.mu.Unlock()
		return 0, nil
	}
	// A receive that waits lets go of rx; one that has datagrams returns them.
	// Only then are the rest thrown away, so that no gap opens before what a
	// receive delivers.
	_ = s.desc.setReadDeadline(deadline.Past())
	s.mu.Unlock()
	s.rx.mu.Lock()
	_ = s.desc.hold(func(uintptr) {
		fd := int(s.desc.fd)
		// Once reading is shut down nobody can queue another datagram, so the
		// count is final.
		if unix.Shutdown(fd, unix.SHUT_RD) == nil {
			unread = discard(fd)
		}
	})
	s.rx.mu.Unlock()
	return unread, s.desc.close()
}

// Caps implements [transport.Transport].
func (s *Socket) Caps() link.Caps {
	c := link.Caps{Raw: rawConn{s}}
	if s.headers {
		c.Offload = link.OffloadChecksum | link.OffloadTSO
	}
	return c
}

// translate gives closing its one public name: the runtime's own error for a
// closed file matches neither os.ErrClosed nor net.ErrClosed.
func (s *Socket) translate(err error) error {
	if err != nil && s.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// rawConn is the socket's syscall.RawConn with closing translated.
type rawConn struct{ s *Socket }

func (c rawConn) Control(f func(fd uintptr)) error {
	return c.s.translate(c.s.desc.hold(func(uintptr) { f(c.s.desc.fd) }))
}

func (c rawConn) Read(f func(fd uintptr) bool) error { return c.s.translate(c.s.desc.read(f, true)) }

func (c rawConn) Write(f func(fd uintptr) bool) error { return c.s.translate(c.s.desc.write(f)) }
