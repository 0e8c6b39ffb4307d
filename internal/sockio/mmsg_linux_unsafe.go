// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below never wait, so they are made without telling the scheduler.
// Telling it costs a fifth of the rate of 64-byte frames: a batch lasts as long
// as the 20 microseconds after which the scheduler takes the processor away from
// a call, and the call has to ask for it again. A goroutine in such a call
// delays a stop of the world by the batch, so a batch of more than rawLimit
// bytes is announced after all.
const rawLimit = 1 << 20

// mmsg makes the system call trap, which is recvmmsg or sendmmsg. It passes the
// kernel a pointer to the first of len(hdrs) headers, which must not be empty
// and refer to size bytes. The pointer is converted in the call's own argument
// list, so the headers, and the buffers they refer to by typed pointers, stay
// alive and in place for its duration (unsafe.Pointer, rule 4).
func mmsg(trap, fd uintptr, hdrs []mmsghdr, size int, flags uintptr) (n int, errno unix.Errno) {
	var r uintptr
	if size > rawLimit {
		r, _, errno = unix.Syscall6(trap, fd, uintptr(unsafe.Pointer(&hdrs[0])), uintptr(len(hdrs)), flags, 0, 0)
	} else {
		r, _, errno = unix.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&hdrs[0])), uintptr(len(hdrs)), flags, 0, 0)
	}
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// single is mmsg for one datagram in one piece by the cheaper system call trap,
// recvfrom or sendto. n is what it returns: a number of bytes.
func single(trap, fd uintptr, v *unix.Iovec, flags uintptr) (n int, errno unix.Errno) {
	r, _, errno := unix.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(v.Base)), uintptr(v.Len), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// queueLen sets n to the number of bytes in the queue of the stream socket fd.
func queueLen(fd uintptr, n *int32) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_IOCTL, fd, unix.SIOCINQ, uintptr(unsafe.Pointer(n)))
	return errno
}
