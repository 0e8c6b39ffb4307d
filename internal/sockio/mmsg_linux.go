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
	"github.com/go-vde/sdk/link"
)

const (
	recvCall = "recvmmsg"
	sendCall = "sendmmsg"

	// recvFlags: MSG_TRUNC as an argument makes a datagram's own length the
	// result even where the buffer was shorter (unix(7)).
	recvFlags = unix.MSG_DONTWAIT | unix.MSG_TRUNC
	sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
)

// mmsghdr is the kernel's struct mmsghdr. Its members come from x/sys for each
// architecture, and Go pads the end to the alignment of Msghdr's pointers just
// as C does, so the stride is right on all of them (asserted in a test).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32 // bytes moved, written by the kernel
}

// A receiver holds the headers of one receiving batch. The poller calls back
// through method values made once, so that a batch allocates nothing.
type receiver struct {
	step    func(fd uintptr) bool // try, and wait when there is nothing
	tryStep func(uintptr)         // try once

	mu    sync.Mutex // held for the whole receive, also while it waits; guards what follows
	want  int        // datagrams asked for
	bytes int        // at most so many
	n     int        // datagrams received
	errno unix.Errno
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	vnets *vnetHeaders // nil if datagrams have none
}

// vnetHeaders are the virtio-net headers of one batch, as they are on the wire.
type vnetHeaders [MaxBatch][frame.VNetHeaderLen]byte

func (r *receiver) init(fd uintptr, headers bool) {
	if headers {
		r.vnets = new(vnetHeaders)
	}
	r.step = func(fd uintptr) bool { return r.recv(fd) }
	r.tryStep = func(uintptr) { r.recv(fd) }
}

// recv reports whether it is done; false asks the poller to wait.
func (r *receiver) recv(fd uintptr) bool {
	for {
		r.receive(fd)
		switch r.errno {
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			return true
		}
	}
}

// receive makes the system call.
func (r *receiver) receive(fd uintptr) {
	if r.want > 1 || r.vnets != nil {
		r.n, r.errno = mmsg(unix.SYS_RECVMMSG, fd, r.hdrs[:r.want], r.bytes, recvFlags)
		return
	}
	var size int
	if size, r.errno = single(unix.SYS_RECVFROM, fd, &r.iovs[0], recvFlags); r.errno == 0 {
		r.n, r.hdrs[0].len = 1, uint32(size)
	}
}

func (r *receiver) result() error {
	switch r.errno {
	case 0:
		return nil
	case unix.EAGAIN:
		return link.ErrEmpty
	}
	return os.NewSyscallError(recvCall, r.errno)
}

func (r *receiver) load(bufs [][]byte) {
	r.want, r.bytes, r.n, r.errno = len(bufs), 0, 0, 0
	r.grow(len(bufs))
	each := r.each()
	for i, b := range bufs {
		if r.vnets != nil {
			setIovec(&r.iovs[i*each], r.vnets[i][:])
			r.bytes += frame.VNetHeaderLen
		}
		setIovec(&r.iovs[i*each+each-1], b)
		r.bytes += len(b)
	}
}

func (r *receiver) unload(n int) {
	clear(r.iovs[:n*r.each()])
}

// each returns the number of iovecs that a datagram is received into.
func (r *receiver) each() int {
	if r.vnets != nil {
		return 2
	}
	return 1
}

// grow makes room for n headers, each tied to its iovecs.
func (r *receiver) grow(n int) {
	if n <= len(r.hdrs) {
		return
	}
	n = roundUp(n)
	each := r.each()
	r.hdrs, r.iovs = make([]mmsghdr, n), make([]unix.Iovec, n*each)
	for i := range r.hdrs {
		r.hdrs[i].hdr.Iov = &r.iovs[i*each]
		r.hdrs[i].hdr.SetIovlen(each)
	}
}

// store tells the length of each datagram received, and its metadata.
func (r *receiver) store(rx link.Rx) {
	if r.vnets == nil {
		for i := range r.n {
			rx.Sizes[i] = int(r.hdrs[i].len)
		}
		if rx.Headers != nil {
			clear(rx.Headers[:r.n])
		}
		return
	}
	for i := range r.n {
		size, h := r.split(i, rx.Bufs[i])
		rx.Sizes[i] = size
		if rx.Headers != nil {
			rx.Headers[i] = h
		}
	}
}

// split returns the length of the frame in datagram i, which is in buf as far as
// it fits, and its metadata. A datagram that is not a frame behind its header
// has a length that no frame has.
func (r *receiver) split(i int, buf []byte) (size int, h frame.VNetHeader) {
	size = int(r.hdrs[i].len)
	if size < frame.VNetHeaderLen {
		return size, h
	}
	h, _ = frame.ParseVNetHeader(r.vnets[i][:])
	if size -= frame.VNetHeaderLen; size > len(buf) {
		return size, frame.VNetHeader{} // cut off: it cannot be checked, nor used
	}
	h, err := gso.Accept(h, buf[:size], size)
	if err != nil {
		return 1, frame.VNetHeader{}
	}
	return max(size, 1), h // a header is more than nothing
}

// A sender holds the headers of one sending batch.
type sender struct {
	wait    bool
	step    func(fd uintptr) bool // send all, and wait for room when the queue is full
	tryStep func(uintptr)         // send what fits

	mu    sync.Mutex // held for the whole send, also while it waits; guards what follows
	want  int        // datagrams loaded
	bytes int        // their size
	next  int        // datagrams sent
	calls int        // system calls that sent something
	errno unix.Errno
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	vnets *vnetHeaders // nil if datagrams have none
}

func (t *sender) init(fd uintptr, wait, headers bool) {
	t.wait = wait
	if headers {
		t.vnets = new(vnetHeaders)
	}
	t.step = func(fd uintptr) bool { return t.send(fd) }
	t.tryStep = func(uintptr) { t.send(fd) }
}

// send reports whether it is done; false asks the poller to wait.
func (t *sender) send(fd uintptr) bool {
	t.errno = 0
	for t.next < t.want {
		n, errno := t.transmit(fd)
		switch errno {
		case 0:
			t.next += n
			t.calls++
		case unix.EINTR:
		case unix.EAGAIN:
			t.errno = errno
			return false
		default:
			t.errno = errno
			return true
		}
	}
	return true
}

// transmit makes the system call and returns how many datagrams it sent.
func (t *sender) transmit(fd uintptr) (n int, errno unix.Errno) {
	h := &t.hdrs[t.next].hdr
	if t.next == t.want-1 && h.Iovlen == 1 {
		if _, errno = single(unix.SYS_SENDTO, fd, h.Iov, sendFlags); errno == 0 {
			n = 1
		}
		return n, errno
	}
	return mmsg(unix.SYS_SENDMMSG, fd, t.hdrs[t.next:t.want], t.bytes, sendFlags)
}

// load loads the frames from the given one on, at most MaxBatch, and returns how
// many.
func (t *sender) load(tx *link.Tx, from int) int {
	switch {
	case t.vnets != nil:
		return t.loadWithHeaders(tx, from)
	case tx.Pieces != nil:
		return t.loadPieces(tx.Pieces[from:])
	}
	return t.loadFrames(tx.Frames[from:])
}

// loadFrames loads whole frames.
func (t *sender) loadFrames(msgs [][]byte) int {
	k := min(len(msgs), MaxBatch)
	t.reset(k, k)
	for i, m := range msgs[:k] {
		setIovec(&t.iovs[i], m)
		t.setMsg(i, i, 1)
		t.bytes += len(m)
	}
	return k
}

// loadPieces loads frames given in pieces.
func (t *sender) loadPieces(msgs []net.Buffers) int {
	k := min(len(msgs), MaxBatch)
	pieces := 0
	for _, m := range msgs[:k] {
		pieces += len(m)
	}
	t.reset(k, pieces)
	at := 0
	for i, m := range msgs[:k] {
		t.setPieces(at, m)
		t.setMsg(i, at, len(m))
		at += len(m)
	}
	return k
}

// maxPieces is how many pieces of a message the kernel takes (UIO_MAXIOV).
const maxPieces = 1024

// loadWithHeaders loads frames, whole or in pieces, behind their headers.
func (t *sender) loadWithHeaders(tx *link.Tx, from int) int {
	k := min(tx.Len()-from, MaxBatch)
	pieces := 2 * k
	if tx.Pieces != nil {
		pieces = k
		for _, m := range tx.Pieces[from : from+k] {
			pieces += len(m)
		}
	}
	t.reset(k, pieces)
	at := 0
	for i := range k {
		var one [1][]byte
		m := net.Buffers(one[:])
		if tx.Pieces != nil {
			m = tx.Pieces[from+i]
		} else {
			one[0] = tx.Frames[from+i]
		}
		head := t.vnets[i][:]
		tx.Header(from + i).Put(head)
		if len(m) == maxPieces { // the header would be one too many
			head, m = append(head[:len(head):len(head)], m[0]...), m[1:]
		}
		setIovec(&t.iovs[at], head)
		t.bytes += len(head)
		t.setPieces(at+1, m)
		t.setMsg(i, at, 1+len(m))
		at += 1 + len(m)
	}
	return k
}

// setPieces sets the iovecs from at on to pieces.
func (t *sender) setPieces(at int, pieces [][]byte) {
	for j, b := range pieces {
		setIovec(&t.iovs[at+j], b)
		t.bytes += len(b)
	}
}

func (t *sender) setMsg(i, iov, iovs int) {
	h := &t.hdrs[i].hdr
	h.Iov = nil
	if iovs > 0 {
		h.Iov = &t.iovs[iov]
	}
	h.SetIovlen(iovs)
}

func (t *sender) reset(msgs, pieces int) {
	t.want, t.bytes, t.next, t.calls, t.errno = msgs, 0, 0, 0, 0
	if msgs > len(t.hdrs) {
		t.hdrs = make([]mmsghdr, roundUp(msgs))
	}
	if pieces > len(t.iovs) {
		t.iovs = make([]unix.Iovec, roundUp(pieces))
	}
}

func (t *sender) unload(n int) {
	if n == 0 {
		return
	}
	last := 0
	for i := range t.hdrs[:n] {
		last += int(t.hdrs[i].hdr.Iovlen)
	}
	clear(t.iovs[:last])
}

func setIovec(v *unix.Iovec, b []byte) {
	if len(b) == 0 {
		v.Base = nil
	} else {
		v.Base = &b[0]
	}
	v.SetLen(len(b))
}

// roundUp returns the scratch size for n elements, so that growing batches do
// not reallocate each time.
func roundUp(n int) int {
	size := 8
	for size < n {
		size *= 2
	}
	return size
}

// discard takes every datagram that fd holds and returns how many there were. On a
// socket of packets, whose reading was shut down, empty ones without end follow.
func discard(fd int) (count int) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	endless := err == nil && kind == unix.SOCK_SEQPACKET
	var hdrs [MaxBatch]mmsghdr // no iovecs: the bytes are not wanted
	for {
		n, errno := mmsg(unix.SYS_RECVMMSG, uintptr(fd), hdrs[:], 0, recvFlags)
		switch {
		case errno == unix.EINTR:
		case errno != 0 || n == 0:
			return count
		case endless && hdrs[n-1].len == 0:
			for ; n > 0 && hdrs[n-1].len == 0; n-- {
			}
			return count + n
		default:
			count += n
		}
	}
}
