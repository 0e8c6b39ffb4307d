// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A receiver is the receiving side of a Conn. The poller calls back through
// functions made once, so that a receive allocates nothing.
type receiver struct {
	step    func(fd uintptr) bool // try, and wait when there is nothing
	tryStep func(fd uintptr)      // try once

	mu      sync.Mutex // held for the whole receive, also while it waits; guards what follows
	rx      link.Rx
	n       int   // frames received
	err     error // why none was; the end, once and for all, if ended
	ended   bool
	decoder decoder
}

func (r *receiver) init(c *Conn) {
	r.decoder.framing = c.framing
	r.step = func(fd uintptr) bool { return c.receive(int(fd)) }
	r.tryStep = func(fd uintptr) { c.receive(int(fd)) }
}

// Recv implements [transport.Transport]. A frame that is not what its metadata says
// gets the size 1: it is no frame.
func (c *Conn) Recv(rx link.Rx) (n int, err error) {
	if min(len(rx.Bufs), len(rx.Sizes)) == 0 {
		return 0, nil
	}
	r := &c.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.closed.Load() {
		return 0, net.ErrClosed
	}
	r.rx, r.n = rx, 0
	err = c.run(!rx.NoWait)
	r.rx = link.Rx{}
	if r.n > 0 {
		return r.n, nil
	}
	return 0, err
}

// run receives into rx.rx; rx.mu is held.
func (c *Conn) run(wait bool) error {
	r := &c.rx
	if wait && !c.hungUp.Load() {
		err := c.raw.Read(r.step)
		if err == nil {
			return r.err
		}
		if !c.hungUp.Load() {
			return c.translate(err)
		}
	}
	// A past deadline forbids even to try; Control does not look at it.
	hungUp := c.hungUp.Load()
	if err := c.raw.Control(r.tryStep); err != nil {
		return c.translate(err)
	}
	if hungUp && (r.err == link.ErrEmpty || r.ended && errors.Is(r.err, link.ErrHangup)) {
		return transport.ErrDrained
	}
	return r.err
}

// receive takes frames from what was read, and reads as long as there is none. It
// returns false if it would have to wait.
func (c *Conn) receive(fd int) bool {
	r := &c.rx
	for {
		if c.take(); r.n > 0 || r.ended {
			return true
		}
		n, err := read(fd, r.decoder.room())
		switch {
		case n > 0:
			r.decoder.read(n)
		case err == unix.EAGAIN:
			r.err = link.ErrEmpty
			return false
		default:
			r.end(err)
			return true
		}
	}
}

// end notes why nothing more can be received; nil stands for the end of the stream.
func (r *receiver) end(err error) {
	switch {
	case err == nil && r.decoder.partial():
		err = fmt.Errorf("%w within a frame: %w", link.ErrHangup, io.ErrUnexpectedEOF)
	case err == nil:
		err = link.ErrHangup
	case err == unix.ECONNRESET, err == unix.EPIPE, err == unix.ETIMEDOUT:
		err = fmt.Errorf("%w: %w", link.ErrHangup, os.NewSyscallError("read", err))
	default:
		err = os.NewSyscallError("read", err)
	}
	r.err, r.ended = err, true
}

// take gives the caller's buffers what was read.
func (c *Conn) take() {
	r := &c.rx
	for room := min(len(r.rx.Bufs), len(r.rx.Sizes)); r.n < room; r.n++ {
		f, h, ok, err := r.decoder.next()
		switch {
		case err != nil:
			r.err, r.ended = err, true
			return
		case !ok:
			return
		}
		if c.framing.Guess != nil {
			h = c.framing.Guess(f)
		}
		size := len(f)
		copied := copy(r.rx.Bufs[r.n], f)
		if copied < size || !c.framing.Metadata && c.framing.Guess == nil {
			h = frame.VNetHeader{}
		} else if h, err = gso.Accept(h, f, size); err != nil {
			size, h = 1, frame.VNetHeader{}
		}
		r.rx.Sizes[r.n] = size
		if r.rx.Headers != nil {
			r.rx.Headers[r.n] = h
		}
	}
}

// maxDrain is how much is read at Close at most: a peer on a network may send while
// this goes on.
const maxDrain = 16 << 20

// drain takes all that has come, and returns the number of whole frames; rx.mu is
// held.
func (c *Conn) drain() (unread int) {
	r := &c.rx
	_ = c.raw.Control(func(fd uintptr) {
		// Once reading is shut down, nobody can send more over a unix socket.
		_ = unix.Shutdown(int(fd), unix.SHUT_RDWR)
		for left := maxDrain; ; {
			for {
				if _, _, ok, err := r.decoder.next(); err != nil {
					return
				} else if !ok {
					break
				}
				unread++
			}
			n, _ := read(int(fd), r.decoder.room())
			if left -= n; n <= 0 || left <= 0 {
				return
			}
			r.decoder.read(n)
		}
	})
	r.decoder.buf = nil
	r.decoder.r, r.decoder.w = 0, 0
	return unread
}

// read reads once; the end of the stream is 0 and nil.
func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}
