// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

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
	polled
	headers bool

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

// Close takes what the kernel still holds for this socket, so that the caller
// can account for it, closes the descriptor and wakes every call, which returns
// [net.ErrClosed]. unread is the number of datagrams thrown away. Calls after
// the first return 0 and nil.
func (s *Socket) Close() (unread int, err error) {
	if s.close() {
		return 0, nil
	}
	// A receive that waits lets go of rx; one that has datagrams returns them.
	// Only then are the rest thrown away, so that no gap opens before what a
	// receive delivers.
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

// rawConn is the socket's syscall.RawConn with closing translated.
type rawConn struct{ s *Socket }

func (c rawConn) Control(f func(fd uintptr)) error {
	return c.s.translate(c.s.desc.hold(func(uintptr) { f(c.s.desc.fd) }))
}

func (c rawConn) Read(f func(fd uintptr) bool) error { return c.s.translate(c.s.desc.read(f, true)) }

func (c rawConn) Write(f func(fd uintptr) bool) error { return c.s.translate(c.s.desc.write(f)) }
