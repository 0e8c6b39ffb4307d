// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// writeBuffer is how much is written to the stream at once: not much more than the
// queue of a socket holds, because what does not fit is copied again.
const writeBuffer = 128 << 10

// A sender is the sending side of a Conn. No lock is held while a send waits, so
// one that does not wait never queues behind it.
type sender struct {
	step     func(fd uintptr) bool // send all, and wait for room when the queue is full
	tryStep  func(fd uintptr)      // send what fits
	roomStep func(fd uintptr) bool // wait for room

	waiting sync.Mutex // held for a whole send that waits; guards what follows
	load    load
	err     error // of AwaitRoom

	trying  sync.Mutex // held for a whole send that does not wait; guards what follows
	tryLoad load

	mu   sync.Mutex // held for a write; guards what follows
	buf  []byte     // frames behind their headers; made at the first send
	tail []byte     // of buf: the rest of a frame of which the beginning was written
	ends []int      // of the frames in buf
}

// A load is what one send has to send.
type load struct {
	tx    link.Tx
	n     int // frames accepted
	calls int // system calls that wrote something
	err   error
}

func (t *sender) init(c *Conn) {
	t.step = func(fd uintptr) bool { return c.send(int(fd), &t.load) }
	t.tryStep = func(fd uintptr) { c.send(int(fd), &t.tryLoad) }
	t.roomStep = func(fd uintptr) bool { return c.roomy(int(fd)) }
}

// Send implements [transport.Transport]. A frame is sent when its beginning is
// written: the rest follows as soon as there is room.
func (c *Conn) Send(tx link.Tx) (n, calls int, err error) {
	if tx.Len() == 0 {
		return 0, 0, nil
	}
	t := &c.tx
	lock, l := &t.waiting, &t.load
	if tx.NoWait {
		lock, l = &t.trying, &t.tryLoad
	}
	lock.Lock()
	defer lock.Unlock()
	*l = load{tx: tx}
	if tx.NoWait {
		err = c.raw.Control(t.tryStep)
	} else {
		err = c.raw.Write(t.step)
	}
	l.tx = link.Tx{}
	switch {
	case err != nil: // the send did not try, or did not wait any longer
		c.leaveTail()
		err = c.translate(err)
	default:
		err = l.err
	}
	if l.n == tx.Len() {
		err = nil // the rest of the last frame follows
	}
	return l.n, l.calls, err
}

// leaveTail has the attendant write the tail, if there is one.
func (c *Conn) leaveTail() {
	c.tx.mu.Lock()
	defer c.tx.mu.Unlock()
	if len(c.tx.tail) > 0 {
		c.attendant.wantRoom()
	}
}

// send sends what is left of l. It returns false if it would have to wait. A send
// that waits does so for the rest of its last frame, too.
func (c *Conn) send(fd int, l *load) bool {
	t := &c.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		if l.err = c.flush(fd); l.err == nil {
			if l.n == l.tx.Len() {
				return true
			}
			l.err = c.fill(l)
		}
		if l.err == nil {
			l.err = c.write(fd, l)
		}
		if l.err != nil {
			break
		}
	}
	if l.tx.NoWait && len(t.tail) > 0 {
		c.attendant.wantRoom()
	}
	return l.err != link.ErrFull
}

// flush writes the tail; tx.mu is held.
func (c *Conn) flush(fd int) error {
	t := &c.tx
	if c.closed.Load() {
		return net.ErrClosed
	}
	for len(t.tail) > 0 {
		n, err := write(fd, t.tail)
		if t.tail = t.tail[n:]; err != nil {
			if err != link.ErrFull {
				c.forgetTail()
			}
			return err
		}
	}
	return nil
}

// forgetTail counts the frame whose rest is in the tail as unsent; tx.mu is held.
func (c *Conn) forgetTail() {
	if len(c.tx.tail) > 0 {
		c.tx.tail = nil
		c.unsent.Add(1)
	}
}

// fill puts the next frames of l into the buffer; tx.mu is held and there is no
// tail. It fails only if the first of them cannot be sent.
func (c *Conn) fill(l *load) error {
	t := &c.tx
	if t.buf == nil {
		t.buf = make([]byte, 0, writeBuffer)
	}
	t.buf, t.ends = t.buf[:0], t.ends[:0]
	for i := l.n; i < l.tx.Len(); i++ {
		size := l.tx.Size(i)
		record := c.framing.HeaderLen + size
		if size == 0 { // there is no such frame
			t.ends = append(t.ends, len(t.buf))
			continue
		}
		switch {
		case size > c.framing.MaxSize && len(t.ends) == 0:
			return fmt.Errorf("a frame of %d bytes, with %s none is longer than %d: %w", size, c.framing.Name, c.framing.MaxSize, unix.EMSGSIZE)
		case size > c.framing.MaxSize, len(t.buf)+record > writeBuffer:
			return nil
		}
		c.framing.Put(t.buf[len(t.buf):len(t.buf)+c.framing.HeaderLen], size, l.tx.Header(i))
		t.buf = t.buf[:len(t.buf)+c.framing.HeaderLen]
		if l.tx.Pieces == nil {
			t.buf = append(t.buf, l.tx.Frames[i]...)
		} else {
			for _, p := range l.tx.Pieces[i] {
				t.buf = append(t.buf, p...)
			}
		}
		t.ends = append(t.ends, len(t.buf))
	}
	return nil
}

// write writes the buffer. Of a frame of which only the beginning was written the
// rest becomes the tail; later ones were not accepted. tx.mu is held.
func (c *Conn) write(fd int, l *load) (err error) {
	t := &c.tx
	n := 0
	if len(t.buf) > 0 {
		if n, err = write(fd, t.buf); n > 0 {
			l.calls++
		}
	}
	start := 0
	for _, end := range t.ends {
		if n < end {
			if n > start {
				l.n++
				t.tail = t.buf[n:end]
			}
			return cmp.Or(err, link.ErrFull)
		}
		l.n++
		start = end
	}
	return nil
}

// roomy reports whether the queue has room, or never will.
func (c *Conn) roomy(fd int) bool {
	t := &c.tx
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err = c.flush(fd); t.err != nil {
		return t.err != link.ErrFull
	}
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds[:], 0)
	if n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
		t.err = hangup(unix.EPIPE)
	}
	return n > 0 || err != nil && err != unix.EINTR
}

// write writes once. What could not be written because the queue is full is
// [link.ErrFull].
func write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.SendmsgN(fd, b, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, link.ErrFull
		case unix.EPIPE, unix.ECONNRESET, unix.ETIMEDOUT, unix.ENOTCONN:
			return 0, hangup(err)
		default:
			return 0, os.NewSyscallError("write", err)
		}
	}
}

// hangup returns the error of a write to a stream that the other side has ended.
func hangup(err error) error {
	return fmt.Errorf("%w: %w", link.ErrHangup, os.NewSyscallError("write", err))
}
