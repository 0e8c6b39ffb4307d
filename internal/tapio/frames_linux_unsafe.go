// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package tapio

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readv makes the system call for one frame, into the buffers that v, which is not
// empty, refers to. The pointer is converted in the call's own argument list, so v and
// the buffers stay alive and in place for its duration (unsafe.Pointer, rule 4).
//
// It never waits, and copies 64 KiB at most, so the scheduler is not told: see
// internal/sockio.
func readv(fd uintptr, v []unix.Iovec) (n int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall(unix.SYS_READV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// writev is readv that writes. The frame may go through the stack of the kernel and
// wake others, all within the call, in some tens of microseconds if it is long.
func writev(fd uintptr, v []unix.Iovec) (errno unix.Errno) {
	if len(v) == 0 {
		return unix.EINVAL // an empty frame
	}
	_, _, errno = unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
	return errno
}

// HardwareAddr returns the Ethernet address of the interface that fd is attached to.
func (fd FD) HardwareAddr() ([]byte, error) {
	// struct ifreq: the name, and a struct sockaddr whose data begins with the address.
	var ifr [unix.IFNAMSIZ + 24]byte
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCGIFHWADDR, uintptr(unsafe.Pointer(&ifr[0]))); errno != 0 {
		return nil, os.NewSyscallError("SIOCGIFHWADDR", errno)
	}
	return ifr[unix.IFNAMSIZ+2 : unix.IFNAMSIZ+8], nil
}
