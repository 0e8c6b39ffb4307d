// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A doorbell is an eventfd on which this side sleeps, by the runtime's poller, and
// which the other side rings.
type doorbell struct {
	fd   int // to pass on; file owns it
	file *os.File
	raw  syscall.RawConn
}

func newDoorbell() (*doorbell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	d := &doorbell{fd: fd, file: os.NewFile(uintptr(fd), "doorbell")}
	// NewFile does not report that the poller refused the descriptor.
	if err = d.file.SetDeadline(time.Time{}); err == nil {
		d.raw, err = d.file.SyscallConn()
	}
	if err != nil {
		d.file.Close()
		return nil, fmt.Errorf("shm: doorbell cannot be polled: %w", err)
	}
	return d, nil
}

// wait calls try until it reports true, and before each further attempt sleeps
// until the doorbell is rung. The count in the eventfd is never read: the poller
// reports each ring, whatever the count.
func (d *doorbell) wait(try func(fd uintptr) bool) error { return d.raw.Read(try) }

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
	for _, d := range ds {
		d.file.Close()
	}
}

// checkDoorbell reports why fd, which the other side made, must not be rung. A write
// to a descriptor that is no eventfd may block, or do anything.
func checkDoorbell(fd int) error {
	const want = "anon_inode:[eventfd]"
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	switch {
	case err != nil:
		return fmt.Errorf("shm: cannot tell whether a descriptor is an eventfd: %w", err)
	case name != want:
		return fmt.Errorf("shm: doorbell is %q, not %q", name, want)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	switch {
	case err != nil:
		return os.NewSyscallError("fcntl", err)
	case flags&unix.O_NONBLOCK == 0:
		return errors.New("shm: doorbell is in blocking mode")
	}
	return nil
}

// one is what is written to ring a doorbell.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// ringDoorbell rings the other side's doorbell fd. The write fails only if the count
// is full, and only the other side itself can have filled it.
func ringDoorbell(fd int) { _, _ = unix.Write(fd, one) }
