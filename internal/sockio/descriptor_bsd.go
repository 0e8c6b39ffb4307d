// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package sockio

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A descriptor is a socket on the runtime poller. Its methods are those of
// descriptor_linux.go, where they are explained.
type descriptor struct {
	fd   uintptr
	file *os.File
	raw  syscall.RawConn
}

func (d *descriptor) open(fd int, name string) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	d.fd = uintptr(fd)
	d.file = os.NewFile(d.fd, name)
	err := d.file.SetDeadline(time.Time{}) // fails if the poller does not take it
	if err == nil {
		d.raw, err = d.file.SyscallConn()
	}
	if err != nil {
		d.file.Close()
		return fmt.Errorf("descriptor cannot be polled: %w", err)
	}
	return nil
}

func (d *descriptor) read(try func(fd uintptr) bool, park bool) error {
	return d.raw.Read(func(fd uintptr) bool { return try(fd) || !park })
}

func (d *descriptor) write(try func(fd uintptr) bool) error { return d.raw.Write(try) }

func (d *descriptor) hold(f func(uintptr)) error { return d.raw.Control(f) }

func (d *descriptor) setReadDeadline(t time.Time) error { return d.file.SetReadDeadline(t) }

func (d *descriptor) setWriteDeadline(t time.Time) error { return d.file.SetWriteDeadline(t) }

func (d *descriptor) close() error { return d.file.Close() }
