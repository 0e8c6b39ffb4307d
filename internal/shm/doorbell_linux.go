// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
)

// A doorbell is a pair of connected stream sockets. This side sleeps on the near
// one, by the runtime's poller, and the other side rings by sending a byte on the
// far one.
//
// Sending on a socket of AF_UNIX with MSG_DONTWAIT does not wait, whatever the
// holder of the other socket, or of another copy of this one, does: the flag of
// the call counts and not the mode of the file, and no lock is taken that is held
// while memory is copied to or from a process. An eventfd has neither property: a
// write waits if the count is full and O_NONBLOCK was cleared, by any holder. A
// pipe lacks the second: who reads from it into memory whose pages come late, by
// userfaultfd(2) or from a file system in user space, holds the lock of the pipe
// meanwhile, and a write waits for that, with RWF_NOWAIT too.
//
// A receive takes a lock of its socket and copies with it held. So the near
// socket never leaves this process: the side that sleeps makes the pair.
type doorbell struct {
	file *os.File // the near socket
	raw  syscall.RawConn
	far  int // to pass on; -1 once closed; of an End guarded by life.mu

	bytesOnly bool // no descriptors can come
}

// farBuffer is the size in bytes of the far socket's buffer, which holds 40
// bytes that have not been read: the kernel doubles it and counts 768 or more for
// each. It bounds the kernel's memory that a side spends which does not read.
const farBuffer = 16 << 10

// drained is where the bytes go that were sent on doorbells, and is never read. It
// is longer than any buffer: the other side can enlarge that of its far socket, to
// 554 bytes by default (net.core.wmem_max). If some were left, and the buffer
// then made smaller, there would be no room to ring, nor a reason to wake up.
var drained [4096]byte

func newDoorbell() (*doorbell, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	d := &doorbell{file: os.NewFile(uintptr(pair[0]), "doorbell"), far: pair[1]}
	// Descriptors sent along would be closed by this process, which can take long.
	// Linux before 6.16 cannot refuse them; they then delay the receive that reads.
	d.bytesOnly = transport.RefuseDescriptors(pair[0])
	err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(d.far, unix.SOL_SOCKET, unix.SO_SNDBUF, farBuffer))
	if err == nil {
		// NewFile does not report that the poller refused the descriptor.
		err = d.file.SetDeadline(time.Time{})
	}
	if err == nil {
		d.raw, err = d.file.SyscallConn()
	}
	if err != nil {
		closeDoorbells([]*doorbell{d})
		return nil, fmt.Errorf("shm: cannot make a doorbell: %w", err)
	}
	return d, nil
}

// wait calls try until it reports true, and before each further attempt sleeps
// until the doorbell is rung: the poller reports each byte that comes. Before try
// looks for the last time and reports false, it calls drain. So there is room for
// the byte that is waited for, however often the doorbell was rung before.
func (d *doorbell) wait(try func(fd uintptr) bool) error { return d.raw.Read(try) }

// drain reads what was sent on the doorbell, whose near descriptor is fd.
func (d *doorbell) drain(fd uintptr) {
	if d.bytesOnly {
		readBell(fd)
	} else {
		_, _, _ = unix.Recvfrom(int(fd), drained[:], unix.MSG_DONTWAIT)
	}
}

// closeFars closes the far sockets, of which the other side has copies.
func closeFars(ds ...*doorbell) {
	for _, d := range ds {
		if d.far >= 0 {
			unix.Close(d.far)
			d.far = -1
		}
	}
}

// newDoorbells makes all of ds, or none.
func newDoorbells(ds []*doorbell) (err error) {
	for i := range ds {
		if ds[i], err = newDoorbell(); err != nil {
			closeDoorbells(ds[:i])
			return err
		}
	}
	return nil
}

func closeDoorbells(ds []*doorbell) {
	closeFars(ds...)
	for _, d := range ds {
		d.file.Close()
	}
}

// checkDoorbell reports why fd, which the other side made, must not be rung:
// sending on what is no stream socket of AF_UNIX may block, or do anything. To
// ask does not block, whatever fd is, and what a socket is does not change.
func checkDoorbell(fd int) error {
	for _, want := range []struct{ option, value int }{
		{unix.SO_DOMAIN, unix.AF_UNIX}, {unix.SO_TYPE, unix.SOCK_STREAM},
	} {
		switch got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.option); {
		case err != nil:
			return fmt.Errorf("shm: a doorbell is no socket: %w", os.NewSyscallError("getsockopt", err))
		case got != want.value:
			return errors.New("shm: a doorbell is no stream socket of AF_UNIX")
		}
	}
	return nil
}

// notify rings the other side's doorbell fd if the need-wakeup flag says so. The
// flag is cleared by the side that rings, so that it rings once for each time
// that the other side falls asleep. If the kernel has no memory for the byte, the
// flag is set again: the next one that looks rings.
func notify(needWakeup *atomic.Uint32, fd int) {
	if needWakeup.Load() != 0 && needWakeup.Swap(0) != 0 && !ringDoorbell(fd) {
		needWakeup.Store(1)
	}
}
