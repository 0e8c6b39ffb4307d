// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// readBell reads what there is to read from the near socket fd of a doorbell. As
// nobody else has that socket, the call does not wait; see ringDoorbell.
func readBell(fd uintptr) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&drained)), uintptr(len(drained)), unix.MSG_DONTWAIT, 0, 0)
}

// ringByte is what is sent to ring a doorbell.
var ringByte = [1]byte{1}

// ringDoorbell rings the other side's doorbell fd, and returns false if the
// kernel could not pass it on although there may be somebody to hear it.
//
// The call does not wait (see [doorbell]) and takes about a microsecond. So the
// runtime need not know of it: in a process that is idle otherwise, an ordinary
// call wakes the thread with which the runtime watches calls, each time.
func ringDoorbell(fd int) bool {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&ringByte)), 1,
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	switch errno {
	case unix.ENOBUFS, unix.ENOMEM, unix.EAGAIN:
		return false
	}
	return true // or the other side has closed it
}
