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

// A streamReceiver takes records out of what a stream brings.
type streamReceiver struct {
	step    func(fd uintptr) bool // look for a frame, and wait while there is none
	tryStep func(uintptr)         // look once
	head    int                   // length of what is before the frame in a record

	mu   sync.Mutex      // held for the whole receive, also while it waits; guards what follows
	buf  *[readSize]byte // of which r to w is to be taken; nil if nothing is
	r, w int             //
	kept []byte          // a short beginning of a record, while buf is nil
	size int             // of the frame at r, if there is one
	err  error           // why there is none: [link.ErrEmpty] if one may come
	iov  [1]unix.Iovec   // for the system call
}

// maxKept is the longest beginning of a record for which no buffer is held while
// the rest does not come.
const maxKept = 4096

func (r *streamReceiver) init(fd uintptr, headers bool) {
	r.head = headLen(headers)
	r.step = func(uintptr) bool { return r.look(fd) }
	r.tryStep = func(uintptr) { r.look(fd) }
}

// look looks for a frame and reports whether to stop waiting for one. What has been
// read comes first. mu is held.
func (r *streamReceiver) look(fd uintptr) bool {
	for !r.ready() && r.err == link.ErrEmpty {
		if n, errno := r.read(fd); n <= 0 {
			if errno != 0 && errno != unix.EAGAIN && errno != unix.ECONNRESET {
				r.err = os.NewSyscallError("recvfrom", errno)
			}
			// At the end, with or without ECONNRESET, the hangup will wake the caller.
			break
		}
	}
	return r.err != link.ErrEmpty
}

// ready reports whether there is a whole record at r, and sets size and err.
func (r *streamReceiver) ready() (ok bool) {
	r.err = link.ErrEmpty
	if r.buf == nil {
		return false
	}
	size, ok, err := parseRecord(r.buf[r.r:r.w], r.head)
	switch {
	case err != nil:
		r.err = err
	case ok:
		r.size, r.err = size, nil
	}
	return ok
}

// read reads what there is behind w. n is 0 at the end, and -1 after a failure.
func (r *streamReceiver) read(fd uintptr) (n int, errno unix.Errno) {
	switch {
	case r.buf == nil:
		r.buf = buffers.Get().(*[readSize]byte)
		r.r, r.w = 0, copy(r.buf[:], r.kept)
		r.kept = r.kept[:0]
	case r.r > 0:
		r.r, r.w = 0, copy(r.buf[:], r.buf[r.r:r.w])
	}
	setIovec(&r.iov[0], r.buf[r.w:])
	for {
		n, errno = single(unix.SYS_RECVFROM, fd, &r.iov[0], unix.MSG_DONTWAIT)
		if errno != unix.EINTR {
			break
		}
	}
	clear(r.iov[:])
	if errno != 0 {
		return -1, errno
	}
	r.w += n
	return n, 0
}

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

// take returns the frame at r, which must be there, and its metadata as it is in the
// record. The bytes are those of the buffer.
func (r *streamReceiver) take() (f []byte, h frame.VNetHeader) {
	if r.head > recordLen {
		h, _ = frame.ParseVNetHeader(r.buf[r.r+recordLen:])
	}
	f = r.buf[r.r+r.head:][:r.size]
	r.r += r.head + r.size
	return f, h
}

// discard takes everything that there is and returns how many frames that was. mu is
// held.
func (r *streamReceiver) discard(fd uintptr) (count int) {
	for r.look(fd); r.err == nil; r.look(fd) {
		r.take()
		count++
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
// A Stream with headers gives partial frames even to a caller without Headers,
// who must not be one.
func (s *Stream) Recv(rx link.Rx) (n int, err error) {
	want := min(len(rx.Bufs), len(rx.Sizes))
	if want == 0 {
		return 0, nil
	}
	r := &s.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := s.await(!rx.NoWait); err != nil {
		return 0, err
	}
	for n = 0; n < want && (n == 0 || r.ready()); n++ {
		f, h := r.take()
		rx.Sizes[n] = len(f)
		if copy(rx.Bufs[n], f); s.headers && h != (frame.VNetHeader{}) {
			h, rx.Sizes[n] = accept(h, f, rx.Bufs[n])
		}
		if rx.Headers != nil {
			rx.Headers[n] = h
		}
	}
	if r.r == r.w {
		r.release()
	}
	return n, nil
}

// accept checks the metadata of f, which was copied to buf as far as it fits.
func accept(h frame.VNetHeader, f, buf []byte) (accepted frame.VNetHeader, size int) {
	if len(f) > len(buf) {
		return frame.VNetHeader{}, len(f) // cut off: it cannot be used
	}
	accepted, err := gso.Accept(h, f, len(f))
	if err != nil {
		return frame.VNetHeader{}, 1
	}
	return accepted, len(f)
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
	if !r.ready() {
		if err := s.desc.hold(r.tryStep); err != nil {
			return 0, s.translate(err)
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	for n = 0; n < limit && (n == 0 || r.ready()); n++ {
		f, h := r.take()
		copy(p.Place(n, len(f), h), f)
	}
	if r.r == r.w {
		r.release()
	}
	return n, nil
}
