// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sockio

import (
	"errors"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/link"
)

// These systems move one datagram per call; the batch is a loop. The types and
// methods are those of mmsg_linux.go, where they are explained.

const (
	recvCall = "recvmsg"
	sendCall = "sendmsg"
)

type receiver struct {
	step    func(fd uintptr) bool
	tryStep func(fd uintptr)

	mu    sync.Mutex // held for the whole receive; guards what follows
	bufs  [][]byte
	n     int
	errno unix.Errno
	lens  [MaxBatch]int
}

func (r *receiver) init(fd uintptr) {
	r.step = func(fd uintptr) bool { return r.recv(fd) }
	r.tryStep = func(uintptr) { r.recv(fd) }
}

func (r *receiver) recv(fd uintptr) bool {
	r.errno = 0
	for r.n < len(r.bufs) {
		n, _, flags, _, err := unix.Recvmsg(int(fd), r.bufs[r.n], nil, unix.MSG_DONTWAIT)
		if err != nil {
			if err == unix.EINTR {
				continue
			}
			if r.n > 0 {
				return true // the error, if it is one, comes again
			}
			r.errno = errnoOf(err)
			return r.errno != unix.EAGAIN
		}
		if flags&unix.MSG_TRUNC != 0 {
			n = len(r.bufs[r.n]) + 1 // by how much is not told
		}
		r.lens[r.n] = n
		r.n++
	}
	return true
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

func (r *receiver) load(bufs [][]byte) { r.bufs, r.n, r.errno = bufs, 0, 0 }

func (r *receiver) unload(int) { r.bufs = nil }

func (r *receiver) sizes(bufs [][]byte, sizes []int) { copy(sizes, r.lens[:len(bufs)]) }

type sender struct {
	wait    bool
	step    func(fd uintptr) bool
	tryStep func(fd uintptr)

	mu     sync.Mutex    // held for the whole send; guards what follows
	frames [][]byte      // loaded by loadFrames
	pieces []net.Buffers // or by loadBuffers
	want   int
	next   int
	calls  int
	errno  unix.Errno
}

func (t *sender) init(fd uintptr, wait bool) {
	t.wait = wait
	t.step = func(fd uintptr) bool { return t.send(fd) }
	t.tryStep = func(uintptr) { t.send(fd) }
}

func (t *sender) send(fd uintptr) bool {
	t.errno = 0
	for t.next < t.want {
		var err error
		if t.frames != nil {
			_, err = unix.Write(int(fd), t.frames[t.next])
		} else {
			_, err = unix.SendmsgBuffers(int(fd), t.pieces[t.next], nil, nil, 0)
		}
		switch errno := errnoOf(err); errno {
		case 0:
			t.next++
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

func (t *sender) loadFrames(msgs [][]byte) int {
	t.reset(min(len(msgs), MaxBatch))
	t.frames = msgs[:t.want]
	return t.want
}

func (t *sender) loadBuffers(msgs []net.Buffers) int {
	t.reset(min(len(msgs), MaxBatch))
	t.pieces = msgs[:t.want]
	return t.want
}

func (t *sender) reset(want int) { t.want, t.next, t.calls, t.errno = want, 0, 0, 0 }

func (t *sender) unload(int) { t.frames, t.pieces = nil, nil }

func discard(fd int) (count int) {
	var b [1]byte
	for {
		_, _, err := unix.Recvfrom(fd, b[:], unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return count
		default:
			count++
		}
	}
}

func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}
