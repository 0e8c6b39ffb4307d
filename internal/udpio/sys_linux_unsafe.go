// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package udpio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A call of more than rawLimit bytes is announced to the scheduler, because it may
// last longer than a stop of the world should wait for it. All calls are made with
// MSG_DONTWAIT.
const rawLimit = 128 << 10

// mmsg makes the system call trap, which is recvmmsg or sendmmsg, with hdrs, which
// must not be empty and refer to size bytes. The pointer is converted in the call's
// own argument list, so the headers, and the buffers they refer to by typed
// pointers, stay alive and in place for its duration (unsafe.Pointer, rule 4).
func mmsg(trap uintptr, fd int, hdrs []mmsghdr, size int) (n int, errno unix.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	var r uintptr
	if size > rawLimit {
		r, _, errno = unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&hdrs[0])), uintptr(len(hdrs)), flags, 0, 0)
	} else {
		r, _, errno = unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&hdrs[0])), uintptr(len(hdrs)), flags, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// The forms of a socket address and of a control message with one number.
const (
	nameLen    = unix.SizeofSockaddrInet6
	cmsgHeader = unix.SizeofCmsghdr
	cmsgSpace  = 24 // room for a header and a number of 2 or 4 bytes, aligned
)

// A name is a socket address as the kernel has it.
type name struct {
	raw unix.RawSockaddrInet6 // an IPv4 address lies at its beginning
	len uint32
}

// bytes returns the memory of the address.
func (n *name) bytes() *[nameLen]byte { return (*[nameLen]byte)(unsafe.Pointer(&n.raw)) }

// disconnect has fd, which is connected, forget its destination and the source
// address that was chosen for it.
func disconnect(fd int) {
	unspecified := unix.RawSockaddrInet4{Family: unix.AF_UNSPEC}
	_, _, _ = unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspecified)), unix.SizeofSockaddrInet4)
}
