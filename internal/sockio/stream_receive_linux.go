// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// buffers are of readSize bytes. An idle stream has none.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// A streamReceiver takes records out of what a stream brings.
//
// A long frame is read straight to where the caller wants it, once all of it has
// come: of its record only the beginning is in buf, and so is the beginning of the
// next one, which is read with the frame. Everything else is read into buf and copied.
type streamReceiver struct {
	step    func(fd uintptr) bool // look for a frame, and wait while there is none
	tryStep func(uintptr)         // look once
	framing *Framing
	head    int // its HeaderLen

	mu     sync.Mutex      // held for the whole receive, also while it waits; guards what follows
	buf    *[readSize]byte // of which r to w is to be taken; nil if nothing is
	r, w   int             //
	kept   []byte          // a short beginning of a record, while buf is nil
	size   int             // of the frame at r, or 0 if that is not known yet
	err    error           // why there is none: [link.ErrEmpty] if one may come
	long   bool            // the last frame was long, so the next one is likely to be
	staged bool            // the frame at r goes through buf, although it is long
	queued int32           // at least so many bytes can be read, if none are urgent
	hdr    [1]mmsghdr      // for the system call
	iovs   [2]unix.Iovec   // of hdr
}

const (
	// readSize is how much is read at once, about twice the longest record.
	readSize = 256 << 10

	// maxKept is the longest beginning of a record for which no buffer is held while
	// the rest does not come.
	maxKept = 4096

	// longFrame is the size from which on a frame is long: to copy it takes longer than
	// the two system calls, which would otherwise be made for many frames.
	longFrame = 16 << 10
)

func (r *streamReceiver) init(fd uintptr, f *Framing) {
	r.framing, r.head = f, f.HeaderLen
	r.hdr[0].hdr.Iov = &r.iovs[0]
	r.hdr[0].hdr.SetIovlen(len(r.iovs))
	r.step = func(uintptr) bool { return r.look(fd) }
	r.tryStep = func(uintptr) { r.look(fd) }
}

// look looks for a frame and reports whether to stop waiting for one. What has been
// read comes first. mu is held.
func (r *streamReceiver) look(fd uintptr) bool {
	for !r.ready(fd) && r.err == link.ErrEmpty {
		if n, errno := r.read(fd); n <= 0 {
			switch errno {
			case 0, unix.EAGAIN:
			case unix.ECONNRESET, unix.ETIMEDOUT, unix.EPIPE: // the end, of which the hangup will tell
			default:
				r.err = os.NewSyscallError("recvfrom", errno)
			}
			break
		}
	}
	return r.err != link.ErrEmpty
}

// ready reports whether there is a whole record, of which at least the beginning is at
// r and the rest can be read, and sets size and err. mu is held, and the Stream was
// not closed since.
func (r *streamReceiver) ready(fd uintptr) (ok bool) {
	r.size, r.err = 0, link.ErrEmpty
	if r.buf == nil {
		return false
	}
	size, ok, err := r.framing.parse(r.buf[r.r:r.w])
	if err != nil {
		r.err = err
		return false
	}
	r.size = size
	if !ok && size >= longFrame && !r.staged {
		have := r.w - r.r
		ok = have >= r.head && r.waiting(fd, r.head+size-have)
	}
	if ok {
		r.err = nil
	}
	return ok
}

// waiting reports whether n bytes can be read. Urgent ones are counted, though they
// cannot.
func (r *streamReceiver) waiting(fd uintptr, n int) bool {
	if int(r.queued) >= n {
		return true
	}
	return queueLen(fd, &r.queued) == 0 && int(r.queued) >= n
}

// read reads what there is behind w. n is 0 at the end, and -1 after a failure.
func (r *streamReceiver) read(fd uintptr) (n int, errno unix.Errno) {
	switch {
	case r.buf == nil:
		r.buf = buffers.Get().(*[readSize]byte)
		r.r, r.w = 0, copy(r.buf[:], r.kept)
		r.kept = r.kept[:0]
	case r.r > 0:
		r.rewind()
	}
	end := len(r.buf)
	switch {
	case r.w < r.head && r.long:
		end = r.head // more would have to be copied
	case r.size >= longFrame:
		end = r.head + r.size + r.head
	}
	setIovec(&r.iovs[0], r.buf[r.w:end])
	for {
		n, errno = single(unix.SYS_RECVFROM, fd, &r.iovs[0], unix.MSG_DONTWAIT)
		if errno != unix.EINTR {
			break
		}
	}
	clear(r.iovs[:])
	if errno != 0 {
		return -1, errno
	}
	r.w += n
	r.queued -= int32(n)
	return n, 0
}

// rewind moves what is in buf to its front.
func (r *streamReceiver) rewind() { r.r, r.w = 0, copy(r.buf[:], r.buf[r.r:r.w]) }

// release gives the buffer back if next to nothing is in it.
func (r *streamReceiver) release() {
	left := r.w - r.r
	if r.buf == nil || left > maxKept {
		return
	}
	if left > 0 {
		r.kept = append(r.kept[:0], r.buf[r.r:r.w]...)
	}
	buffers.Put(r.buf)
	r.buf, r.r, r.w = nil, 0, 0
}

// header returns the metadata of the frame that is ready, as it is in the record.
func (r *streamReceiver) header() (h frame.VNetHeader) {
	if r.framing.vnet {
		h, _ = frame.ParseVNetHeader(r.buf[r.r+r.framing.lengthLen:])
	}
	return h
}

// take takes the frame that is ready, and puts it into dst as far as it fits. It
// reports whether that was possible.
func (r *streamReceiver) take(fd uintptr, dst []byte) (ok bool) {
	f := r.r + r.head
	if end := f + r.size; end <= r.w {
		copy(dst, r.buf[f:end])
		r.r = end
	} else if !r.readInto(fd, dst) {
		return false
	}
	r.long, r.staged = r.size >= longFrame, false
	return true
}

// readInto is take for a frame of which not all is in buf. What does not fit in dst is
// read to where it would be in buf.
func (r *streamReceiver) readInto(fd uintptr, dst []byte) (ok bool) {
	if r.r+2*r.head+r.size > len(r.buf) {
		r.rewind()
	}
	f := r.r + r.head
	end, have := f+r.size, r.w-f
	dst = dst[:min(len(dst), r.size)]
	rest := dst[copy(dst, r.buf[f:r.w]):]
	setIovec(&r.iovs[0], rest)
	setIovec(&r.iovs[1], r.buf[r.w+len(rest):end+r.head])
	r.receive(fd)
	n := int(r.hdr[0].len)
	r.queued -= int32(n)
	if r.w += n; r.w >= end {
		r.r = end
		return true
	}
	// Urgent bytes are within the frame.
	copy(r.buf[f+have:], rest[:min(n, len(rest))])
	r.staged, r.queued = true, 0
	return false
}

// receive makes the system call of readInto. The length that it sets is 0 if that
// fails: the next look finds out why.
func (r *streamReceiver) receive(fd uintptr) {
	for {
		r.hdr[0].len = 0
		if _, errno := mmsg(unix.SYS_RECVMMSG, fd, r.hdr[:], 0, unix.MSG_DONTWAIT); errno != unix.EINTR {
			break
		}
	}
	clear(r.iovs[:])
}

// maxDiscard is how much is read at Close at most: a peer on a network may send while
// this goes on.
const maxDiscard = 16 << 20

// discard takes everything that there is and returns how many frames that was. mu is
// held.
func (r *streamReceiver) discard(fd uintptr) (count int) {
	left := maxDiscard
	for r.look(fd); r.err == nil && left > 0; r.look(fd) {
		left -= r.head + r.size
		if r.take(fd, nil) {
			count++
		}
	}
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
	return count
}

// Recv implements [transport.Transport]. A frame that is not what its virtio-net
// header says gets the size 1: it is no frame.
//
// A Stream with metadata gives partial frames even to a caller without Headers,
// who must not be one.
func (s *Stream) Recv(rx link.Rx) (n int, err error) {
	want := min(len(rx.Bufs), len(rx.Sizes))
	if want == 0 {
		return 0, nil
	}
	r := &s.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	for n == 0 {
		if err := s.await(!rx.NoWait); err != nil {
			return 0, err
		}
		for n < want && (n == 0 || r.ready(s.desc.fd)) && s.recv(rx, n) {
			n++
		}
	}
	if r.r == r.w {
		r.release()
	}
	return n, nil
}

// recv takes the frame that is ready as frame i of rx. rx.mu is held.
func (s *Stream) recv(rx link.Rx, i int) (ok bool) {
	size, h := s.rx.size, s.rx.header()
	if !s.rx.take(s.desc.fd, rx.Bufs[i]) {
		return false
	}
	if guess := s.framing.guess; guess != nil && size <= len(rx.Bufs[i]) {
		h = guess(rx.Bufs[i][:size])
	}
	if h != (frame.VNetHeader{}) {
		h, size = accept(h, rx.Bufs[i], size)
	}
	if rx.Sizes[i] = size; rx.Headers != nil {
		rx.Headers[i] = h
	}
	return true
}

// accept checks the metadata of a frame of size bytes, which was copied to buf as far
// as it fits.
func accept(h frame.VNetHeader, buf []byte, size int) (accepted frame.VNetHeader, _ int) {
	if size > len(buf) {
		return frame.VNetHeader{}, size // cut off: it cannot be used
	}
	accepted, err := gso.Accept(h, buf[:size], size)
	if err != nil {
		return frame.VNetHeader{}, 1
	}
	return accepted, size
}

// await looks for a frame, and waits for one if it may. rx.mu is held.
func (s *Stream) await(wait bool) error {
	if s.closed.Load() {
		return net.ErrClosed
	}
	r := &s.rx
	if !s.hungUp.Load() {
		err := s.desc.read(r.step, wait)
		if err == nil {
			if r.err == link.ErrEmpty {
				r.release()
			}
			return r.err
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
	if r.err == link.ErrEmpty {
		r.release()
		if hungUp {
			return transport.ErrDrained
		}
	}
	return r.err
}

// Serve implements [link.Notifier].
func (s *Stream) Serve(r link.Receiver) {
	release := func() {} // nothing is held while r is called
	for {
		s.rx.mu.Lock()
		err := s.await(true)
		s.rx.mu.Unlock()
		if err != nil {
			r.Ended(err)
			return
		}
		for r.Ready(release) {
		}
	}
}

// RecvPlaced implements [link.Notifier].
func (s *Stream) RecvPlaced(p link.Placer, limit int) (n int, err error) {
	r := &s.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.closed.Load() {
		return 0, net.ErrClosed
	}
	if !r.ready(s.desc.fd) {
		if err := s.desc.hold(r.tryStep); err != nil {
			return 0, s.translate(err)
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	for n < limit && (n == 0 || r.ready(s.desc.fd)) && r.take(s.desc.fd, p.Place(n, r.size, r.header())) {
		n++
	}
	if r.r == r.w {
		r.release()
	}
	if n == 0 {
		return 0, link.ErrEmpty // the frame was placed, and has not come
	}
	return n, nil
}
