// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// A streamSender puts records into a stream.
//
// The kernel takes a write as a whole if it is not longer than writeSize. Of a
// longer one, of a long record, it may take a part. The frame counts as sent then,
// and its rest is written before anything else: by the next send, or by a timer.
type streamSender struct {
	fd      uintptr
	framing *Framing

	waitMu sync.Mutex         // held by a send that waits; guards wait
	wait   waitingSend        // of that send
	step   func(uintptr) bool // go on with it, and wait while the queue is full

	mu      sync.Mutex // held while something is written, not while waiting; guards what follows
	closed  bool
	rest    []byte           // of what was written in part
	restBuf *[maxRecord]byte // where rest is, if it is of a frame
	timer   *time.Timer      // writes rest; nil until that was needed
	pause   time.Duration
	hdr     [1]mmsghdr   // of a message in several pieces
	iovs    []unix.Iovec // for the system call

	unsent atomic.Uint64 // frames of which the rest could not be written
}

const (
	// writeSize is how much is written at once, but for a record that is longer.
	// The kernel takes so much as a whole or not at all from an AF_UNIX socket.
	writeSize = 32 << 10

	// longMessage is how much is written at once if that begins with such a record.
	longMessage = 256 << 10

	// gatherSize is the size from which on a frame is given to the kernel where it is,
	// and not copied to the records around it.
	gatherSize = 4096

	// maxRecord is the length of the longest record.
	maxRecord = MaxStreamFrame + recordLen + frame.VNetHeaderLen
)

// writeBuffers are for what is written, and restBuffers for the rest of a record that
// was written in part.
var (
	writeBuffers = sync.Pool{New: func() any { return new([writeSize]byte) }}
	restBuffers  = sync.Pool{New: func() any { return new([maxRecord]byte) }}
)

// A waitingSend is a send that waits while the queue is full.
type waitingSend struct {
	tx       link.Tx
	n, calls int
	err      error
}

func (t *streamSender) init(fd uintptr, f *Framing, first []byte) {
	t.fd, t.framing, t.rest = fd, f, slices.Clone(first)
	t.step = func(uintptr) bool {
		w := &t.wait
		n, calls, err := t.send(&w.tx, w.n)
		w.n, w.calls, w.err = w.n+n, w.calls+calls, err
		return err != link.ErrFull
	}
}

// Send implements [transport.Transport]. A frame that is too long for the framing
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
		if t.framing.noEmpty && tx.Size(from+n) == 0 {
			n++
			continue
		}
		k, err := t.sendMessage(buf, tx, from+n)
		if n += k; k > 0 {
			calls++
		}
		if err != nil && from+n < total {
			return n, calls, err
		}
	}
	return n, calls, nil
}

// sendMessage writes as many frames of tx, from the given one on, as one message
// holds. The first may be one that can be written in part.
func (t *streamSender) sendMessage(buf *[writeSize]byte, tx *link.Tx, from int) (n int, err error) {
	k, size := t.load(buf, tx, from)
	if k == 0 {
		return 0, fmt.Errorf("a frame of %d bytes, with %s none is longer than %d: %w", tx.Size(from), t.framing.Name, t.framing.MaxSize, unix.EMSGSIZE)
	}
	sent, errno := t.writeLoaded()
	switch {
	case errno != 0:
		return 0, sendErrno(errno)
	case sent == size:
		return k, nil
	}
	n = t.keep(tx, from, sent)
	t.later()
	return n, link.ErrFull
}

// load makes a message of records in iovs. It returns how many, and their length: as
// many as fit in writeSize bytes, or in longMessage if the first does not. Short frames
// are copied to buf, next to each other, and others stay where they are.
func (t *streamSender) load(buf *[writeSize]byte, tx *link.Tx, from int) (k, size int) {
	t.iovs = t.iovs[:0]
	limit := writeSize
	start, end := 0, 0 // of what is in buf and not in iovs yet
	for total := tx.Len(); from+k < total && len(t.iovs) <= maxPieces/2; k++ {
		i := from + k
		n := tx.Size(i)
		record := t.framing.recordLen(n)
		copied := record
		if n >= gatherSize {
			copied -= n
		}
		if n > t.framing.MaxSize || k > 0 && size+record > limit || end+copied > len(buf) {
			break
		}
		if size += record; size > writeSize {
			limit = longMessage
		}
		switch {
		case record == 0:
			continue
		case n < gatherSize:
			end += t.framing.putRecord(buf[end:], tx, i, n)
			continue
		}
		end += t.framing.putHeader(buf[end:], tx, i, n)
		t.addPiece(buf[start:end])
		start = end
		if tx.Pieces == nil {
			t.addPiece(tx.Frames[i])
		} else {
			t.addPieces(tx.Pieces[i])
		}
	}
	if end > start {
		t.addPiece(buf[start:end])
	}
	return k, size
}

func (t *streamSender) addPiece(b []byte) {
	t.iovs = append(t.iovs, unix.Iovec{})
	setIovec(&t.iovs[len(t.iovs)-1], b)
}

// addPieces adds the pieces of a frame. If the kernel does not take so many, they are
// copied.
func (t *streamSender) addPieces(pieces net.Buffers) {
	if len(pieces) >= maxPieces/2 {
		t.addPiece(slices.Concat(pieces...))
		return
	}
	for _, p := range pieces {
		t.addPiece(p)
	}
}

// writeLoaded writes the message in iovs.
func (t *streamSender) writeLoaded() (n int, errno unix.Errno) {
	defer clear(t.iovs)
	if len(t.iovs) == 1 {
		return t.write(&t.iovs[0])
	}
	h := &t.hdr[0]
	h.hdr.Iov = &t.iovs[0]
	h.hdr.SetIovlen(len(t.iovs))
	for {
		_, errno = mmsg(unix.SYS_SENDMMSG, t.fd, t.hdr[:], 0, sendFlags)
		if errno != unix.EINTR {
			return int(h.len), errno
		}
	}
}

// write makes the system call for a message in one piece.
func (t *streamSender) write(v *unix.Iovec) (n int, errno unix.Errno) {
	for {
		n, errno = single(unix.SYS_SENDTO, t.fd, v, sendFlags)
		if errno != unix.EINTR {
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

// keep notes what is left of a record of which only a part was written, of the records
// of tx from the given one on only the first sent bytes, and returns the number of
// frames that count as sent.
func (t *streamSender) keep(tx *link.Tx, from, sent int) (n int) {
	for sent > 0 {
		i := from + n
		size := tx.Size(i)
		n++
		record := t.framing.recordLen(size)
		if sent < record {
			t.restBuf = restBuffers.Get().(*[maxRecord]byte)
			t.rest = t.restBuf[:t.framing.putRest(t.restBuf[:], tx, i, size, sent)]
			break
		}
		sent -= record
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
		t.iovs = t.iovs[:0]
		t.addPiece(t.rest)
		n, errno := t.writeLoaded()
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
	t.forget()
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
	if t.restBuf != nil {
		t.unsent.Add(1)
	}
	t.forget()
}

// forget ends the use of rest. mu is held.
func (t *streamSender) forget() {
	if t.restBuf != nil {
		restBuffers.Put(t.restBuf)
	}
	t.rest, t.restBuf = nil, nil
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
