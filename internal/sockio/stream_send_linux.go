// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// A streamSender puts records into a stream.
//
// The kernel takes a write as a whole if it is not longer than writeSize. Of a
// longer one, of a long record, it may take a part. The frame counts as sent then,
// and its rest is written before anything else: by the next send, or by a timer.
type streamSender struct {
	fd   uintptr
	head int // length of what is before the frame in a record

	waitMu sync.Mutex         // held by a send that waits; guards waiting
	wait   waitingSend        // of that send
	step   func(uintptr) bool // go on with it, and wait while the queue is full

	mu     sync.Mutex // held while something is written, not while waiting; guards what follows
	closed bool
	rest   []byte      // of what was written in part
	frame  bool        // rest is of a frame
	timer  *time.Timer // writes rest; nil until that was needed
	pause  time.Duration
	iov    [1]unix.Iovec

	unsent atomic.Uint64 // frames of which the rest could not be written
}

// A waitingSend is a send that waits while the queue is full.
type waitingSend struct {
	tx       link.Tx
	n, calls int
	err      error
}

func (t *streamSender) init(fd uintptr, headers bool, first []byte) {
	t.fd, t.head, t.rest = fd, headLen(headers), slices.Clone(first)
	t.step = func(uintptr) bool {
		w := &t.wait
		n, calls, err := t.send(&w.tx, w.n)
		w.n, w.calls, w.err = w.n+n, w.calls+calls, err
		return err != link.ErrFull
	}
}

// Send implements [transport.Transport]. A frame of more than MaxStreamFrame bytes
// fails with EMSGSIZE.
func (s *Stream) Send(tx link.Tx) (n, calls int, err error) {
	t := &s.tx
	if tx.Len() == 0 {
		return 0, 0, nil
	}
	if tx.NoWait {
		if s.closed.Load() {
			return 0, 0, net.ErrClosed
		}
		n, calls, err = t.send(&tx, 0)
		return n, calls, s.sendError(err)
	}
	t.waitMu.Lock()
	defer t.waitMu.Unlock()
	t.wait = waitingSend{tx: tx}
	err = s.desc.write(t.step)
	n, calls = t.wait.n, t.wait.calls
	if err == nil {
		err = t.wait.err
	}
	t.wait = waitingSend{}
	return n, calls, s.sendError(err)
}

// sendError is translate, but for a queue that is full.
func (s *Stream) sendError(err error) error {
	if err == link.ErrFull {
		return err
	}
	return s.translate(err)
}

// Flush writes what is left of an earlier write, and fails with [link.ErrFull] if
// that does not fit in the queue.
func (s *Stream) Flush() error {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	return s.sendError(s.tx.flush())
}

// send writes frames of tx from the given one on until the queue is full. calls
// counts system calls that took at least one.
func (t *streamSender) send(tx *link.Tx, from int) (n, calls int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, 0, net.ErrClosed
	}
	if err := t.flush(); err != nil {
		return 0, 0, err
	}
	buf := writeBuffers.Get().(*[writeSize]byte)
	defer writeBuffers.Put(buf)
	for total := tx.Len(); from+n < total; {
		k := 0
		if t.head+tx.Size(from+n) > writeSize {
			k, err = t.sendLong(tx, from+n)
		} else {
			k, err = t.sendLoaded(buf[:], tx, from+n)
		}
		if n += k; k > 0 {
			calls++
		}
		if err != nil && from+n < total {
			return n, calls, err
		}
	}
	return n, calls, nil
}

// sendLong writes a frame whose record is longer than writeSize. It is one that can
// be written in part.
func (t *streamSender) sendLong(tx *link.Tx, i int) (n int, err error) {
	if tx.Size(i) > MaxStreamFrame {
		return 0, unix.EMSGSIZE
	}
	buf := buffers.Get().(*[readSize]byte)
	defer buffers.Put(buf)
	return t.sendLoaded(buf[:t.head+tx.Size(i)], tx, i)
}

// sendLoaded writes as many frames of tx, from the given one on, as fit in buf.
func (t *streamSender) sendLoaded(buf []byte, tx *link.Tx, from int) (n int, err error) {
	k, size := t.load(buf, tx, from)
	sent, errno := t.write(buf[:size])
	switch {
	case errno != 0:
		return 0, sendErrno(errno)
	case sent == size:
		return k, nil
	}
	n = t.keep(buf[:size], sent)
	return n, t.flush()
}

// load puts records into buf as long as they fit. It returns how many, and their
// length.
func (t *streamSender) load(buf []byte, tx *link.Tx, from int) (k, size int) {
	for total := tx.Len(); from+k < total; k++ {
		n := tx.Size(from + k)
		if size+t.head+n > len(buf) {
			break
		}
		size += putRecord(buf[size:], tx, from+k, n, t.head)
	}
	return k, size
}

// write makes the system call.
func (t *streamSender) write(b []byte) (n int, errno unix.Errno) {
	setIovec(&t.iov[0], b)
	for {
		n, errno = single(unix.SYS_SENDTO, t.fd, &t.iov[0], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if errno != unix.EINTR {
			clear(t.iov[:])
			return n, errno
		}
	}
}

// sendErrno returns what the failure of a system call to send means.
func sendErrno(errno unix.Errno) error {
	if errno == unix.EAGAIN {
		return link.ErrFull
	}
	return os.NewSyscallError("sendto", errno)
}

// keep notes what is left of a record of which only a part was written, of b only the
// first sent bytes, and returns the number of frames that count as sent.
func (t *streamSender) keep(b []byte, sent int) (n int) {
	for sent > 0 {
		size, _, _ := parseRecord(b, t.head)
		record := b[:t.head+size]
		b = b[len(record):]
		n++
		if sent < len(record) {
			t.rest, t.frame = slices.Clone(record[sent:]), true
			break
		}
		sent -= len(record)
	}
	return n
}

// flushPause and maxFlushPause are how long the timer waits between attempts to
// write the rest of a frame.
const (
	flushPause    = time.Millisecond
	maxFlushPause = 100 * time.Millisecond
)

// flush writes the rest of what was written in part. If the queue is full, that is
// tried again later. mu is held.
func (t *streamSender) flush() error {
	for len(t.rest) > 0 {
		n, errno := t.write(t.rest)
		switch errno {
		case 0:
			t.rest = t.rest[n:]
			t.pause = flushPause
		case unix.EAGAIN:
			t.later()
			return link.ErrFull
		case unix.ENOBUFS, unix.ENOMEM:
			t.later()
			return sendErrno(errno)
		default:
			t.giveUp()
			return sendErrno(errno)
		}
	}
	t.rest, t.frame = nil, false
	return nil
}

// later has the timer flush. mu is held.
func (t *streamSender) later() {
	t.pause = min(max(t.pause, flushPause), maxFlushPause)
	if t.timer == nil {
		t.timer = time.AfterFunc(t.pause, t.flushLater)
	} else {
		t.timer.Reset(t.pause)
	}
	t.pause *= 2
}

func (t *streamSender) flushLater() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		_ = t.flush() // the next send finds what is wrong
	}
}

// giveUp counts a frame whose rest cannot be written. mu is held.
func (t *streamSender) giveUp() {
	if t.frame {
		t.unsent.Add(1)
	}
	t.rest, t.frame = nil, false
}

// close writes what it can of the rest of a frame, and ends all writing. The
// descriptor is still open.
func (t *streamSender) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.flush()
	t.giveUp()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
}
