// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tapio

import (
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// A receiver receives the frames of one call. The poller calls back through method
// values made once, so that it allocates nothing.
type receiver struct {
	step func(fd uintptr) bool // receive, and wait when there is nothing
	once func(uintptr)         // receive what there is

	mu      sync.Mutex // held for the whole receive, also while it waits; guards what follows
	to      link.Rx
	want, n int // frames asked for, and received
	errno   unix.Errno
	headers bool
	head    [frame.VNetHeaderLen]byte
	iov     [3]unix.Iovec
	spill   []byte // gets what a buffer has no room for

	// A GSO frame that the caller may not get is segmented here.
	seg gso.Segmenter
	gso []byte // that frame; nil until there was one
}

// maxFrame is more than the kernel gives: 64 KiB and the longest headers.
const maxFrame = 1<<16 + 512

func (r *receiver) init(headers bool) {
	r.headers = headers
	r.spill = make([]byte, maxFrame)
	r.step = func(fd uintptr) bool { return r.recv(fd) }
	r.once = func(fd uintptr) { r.recv(fd) }
}

// begin prepares for a call that wants so many frames, and gives it the segments
// that are left.
func (r *receiver) begin(to link.Rx, want int) {
	r.to, r.want, r.n, r.errno = to, want, 0, 0
	r.giveSegments()
}

// forget lets go of what was lent.
func (r *receiver) forget() {
	r.to = link.Rx{}
	clear(r.iov[:])
}

// recv reports whether it is done; false asks the poller to wait.
func (r *receiver) recv(fd uintptr) bool {
	r.errno = 0
	for r.n < r.want {
		buf := r.to.Bufs[r.n]
		size, errno := r.read(fd, buf)
		switch {
		case errno == unix.EINTR:
		case errno == 0:
			r.take(buf, size)
		case r.n > 0:
			return true // the next call meets the error again
		default:
			r.errno = errno
			return errno != unix.EAGAIN
		}
	}
	return true
}

// read makes the system call. It returns how many bytes there were, header included.
func (r *receiver) read(fd uintptr, buf []byte) (n int, errno unix.Errno) {
	v := r.iov[:0]
	if r.headers {
		v = append(v, unix.Iovec{})
		setIovec(&v[0], r.head[:])
	}
	if len(buf) > 0 {
		v = append(v, unix.Iovec{})
		setIovec(&v[len(v)-1], buf)
	}
	v = append(v, unix.Iovec{})
	setIovec(&v[len(v)-1], r.spill)
	return readv(fd, v)
}

// take stores the frame that a read of n bytes has put into buf.
func (r *receiver) take(buf []byte, n int) {
	size, h := n, frame.VNetHeader{}
	if r.headers {
		var whole bool
		if size, h, whole = parse(r.head[:], buf, n, r.to.USO); !whole {
			r.hold(h, buf[:size])
			r.giveSegments()
			return
		}
	}
	r.store(size, h)
}

// store stores the length and the metadata of the next frame.
func (r *receiver) store(size int, h frame.VNetHeader) {
	r.to.Sizes[r.n] = size
	if r.to.Headers != nil {
		r.to.Headers[r.n] = h
	}
	r.n++
}

// parse returns the length and the metadata of the frame that a read of n bytes has
// put behind head, in buf as far as it fits. What is no frame behind its header has a
// length that no frame has. whole is false for a GSO frame that is not given to the
// receiver: of UDP without uso, or one that becomes more segments than are allowed,
// or shorter ones, which the kernel may well do.
func parse(head, buf []byte, n int, uso bool) (size int, h frame.VNetHeader, whole bool) {
	if n <= len(head) {
		return 1, h, true // no frame at all
	}
	h, _ = frame.ParseVNetHeader(head)
	if size = n - len(head); size > len(buf) {
		return size, frame.VNetHeader{}, true // cut off: it cannot be checked, nor used
	}
	h, err := gso.AcceptUSO(h, buf[:size], size)
	switch {
	case err == gso.ErrSegments && (h.GSOSize >= frame.MinGSOSize || gso.Count(h, buf[:size]) <= frame.MaxGSOSegments):
		return size, h, false
	case err != nil:
		return 1, frame.VNetHeader{}, true
	case h.GSOType == frame.GSOUDP && !uso:
		return size, h, false
	}
	return size, h, true
}

// hold begins to segment f.
func (r *receiver) hold(h frame.VNetHeader, f []byte) {
	if r.gso == nil {
		r.gso = make([]byte, maxFrame)
	}
	n := copy(r.gso, f)
	r.seg.Reset(h, r.gso[:n])
}

// giveSegments gives the caller segments that are left, as far as it wants them.
func (r *receiver) giveSegments() {
	for r.n < r.want {
		size, ok := r.seg.NextCut(r.to.Bufs[r.n])
		if !ok {
			break
		}
		r.store(size, frame.VNetHeader{})
	}
}

// mostDiscarded bounds discard: others may go on sending. It is more than the queue
// of a device holds by default.
const mostDiscarded = 4096

// discard takes what the kernel holds, and returns how many frames there were and
// how many segments were left.
func (r *receiver) discard(fd uintptr) (n int) {
	n, r.seg = r.seg.Left(), gso.Segmenter{}
	setIovec(&r.iov[0], r.spill[:frame.VNetHeaderLen]) // the least that the kernel reads into
	for n < mostDiscarded {
		switch _, errno := readv(fd, r.iov[:1]); errno {
		case 0:
			n++
		case unix.EINTR:
		default:
			return n
		}
	}
	return n
}

// A sender sends the frames of one call.
type sender struct {
	step func(fd uintptr) bool // send all, and wait for room when the kernel takes no more
	once func(uintptr)         // send what the kernel takes

	mu      sync.Mutex // held for the whole send, also while it waits; guards what follows
	tx      link.Tx
	next    int // frames sent
	errno   unix.Errno
	headers bool
	head    [frame.VNetHeaderLen]byte
	iov     []unix.Iovec
	one     [1][]byte
}

func (t *sender) init(headers bool) {
	t.headers = headers
	t.iov = make([]unix.Iovec, 0, 8)
	t.step = func(fd uintptr) bool { return t.send(fd) }
	t.once = func(fd uintptr) { t.send(fd) }
}

func (t *sender) begin(tx link.Tx) { t.tx, t.next, t.errno = tx, 0, 0 }

// forget lets go of what was lent.
func (t *sender) forget() {
	t.tx, t.one[0] = link.Tx{}, nil
	clear(t.iov[:cap(t.iov)])
}

// send reports whether it is done; false asks the poller to wait.
func (t *sender) send(fd uintptr) bool {
	t.errno = 0
	for n := t.tx.Len(); t.next < n; {
		t.load()
		switch errno := writev(fd, t.iov); errno {
		case 0:
			t.next++
		case unix.EINTR:
		default:
			t.errno = errno
			return errno != unix.EAGAIN
		}
	}
	return true
}

// maxPieces is how many pieces of a frame the kernel takes (UIO_MAXIOV).
const maxPieces = 1024

// load prepares the next frame, behind its header.
func (t *sender) load() {
	pieces := net.Buffers(t.one[:])
	if t.tx.Pieces != nil {
		pieces = t.tx.Pieces[t.next]
	} else {
		pieces[0] = t.tx.Frames[t.next]
	}
	t.iov = t.iov[:0]
	if t.headers {
		t.tx.Header(t.next).Put(t.head[:])
		t.add(t.head[:])
	}
	if len(pieces) >= maxPieces {
		whole := make([]byte, gso.Length(pieces))
		gso.Gather(whole, pieces)
		t.add(whole)
		return
	}
	for _, p := range pieces {
		t.add(p)
	}
}

// add adds a piece of the frame.
func (t *sender) add(b []byte) {
	if len(b) > 0 {
		t.iov = append(t.iov, unix.Iovec{})
		setIovec(&t.iov[len(t.iov)-1], b)
	}
}

func setIovec(v *unix.Iovec, b []byte) {
	v.Base = &b[0]
	v.SetLen(len(b))
}
