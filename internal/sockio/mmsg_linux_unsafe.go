// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// recvmmsg and sendmmsg pass the kernel a pointer to the first of len(hdrs)
// headers, which must not be empty. The pointer is converted in the call's own
// argument list, so the headers, and the buffers they refer to by typed
// pointers, stay alive and in place for its duration (unsafe.Pointer, rule 4).

func recvmmsg(fd uintptr, hdrs []mmsghdr, flags int) (n int, errno unix.Errno) {
	r, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
		uintptr(unsafe.Pointer(&hdrs[0])), uintptr(len(hdrs)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

func sendmmsg(fd uintptr, hdrs []mmsghdr, flags int) (n int, errno unix.Errno) {
	r, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd,
		uintptr(unsafe.Pointer(&hdrs[0])), uintptr(len(hdrs)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}
