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

// A bell is an eventfd that this side sleeps on, on the runtime poller, and the
// other side rings.
type bell struct {
	fd   int // to pass on; file owns it
	file *os.File
	raw  syscall.RawConn
}

func newBell() (*bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	b := &bell{fd: fd, file: os.NewFile(uintptr(fd), "bell")}
	// Registration with the poller can fail without a word.
	if err = b.file.SetDeadline(time.Time{}); err == nil {
		b.raw, err = b.file.SyscallConn()
	}
	if err != nil {
		b.file.Close()
		return nil, fmt.Errorf("shm: bell cannot be polled: %w", err)
	}
	return b, nil
}

// wait calls try until it reports true, and before each further attempt sleeps
// until the bell is rung. The count in the eventfd is never read: the poller
// reports each ring, whatever the count.
func (b *bell) wait(try func(fd uintptr) bool) error { return b.raw.Read(try) }

// newBells returns so many.
func newBells(bells []*bell) (err error) {
	for i := range bells {
		if bells[i], err = newBell(); err != nil {
			closeBells(bells[:i])
			return err
		}
	}
	return nil
}

func closeBells(bells []*bell) {
	for _, b := range bells {
		b.file.Close()
	}
}

// checkBell reports why fd, which somebody else made, may not be rung. To write
// to what is no eventfd may block, or do anything.
func checkBell(fd int) error {
	const want = "anon_inode:[eventfd]"
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	switch {
	case err != nil:
		return fmt.Errorf("shm: cannot tell whether a bell is one: %w", err)
	case name != want:
		return fmt.Errorf("shm: a bell is %q, not %q", name, want)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	switch {
	case err != nil:
		return os.NewSyscallError("fcntl", err)
	case flags&unix.O_NONBLOCK == 0:
		return errors.New("shm: a bell would block whoever rings it")
	}
	return nil
}

// one is what is written to ring a bell.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// ringBell rings the other side's bell fd. It fails only if the count is full, to
// which that side can only have brought it itself.
func ringBell(fd int) { _, _ = unix.Write(fd, one) }
