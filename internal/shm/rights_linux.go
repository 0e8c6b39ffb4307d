// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
)

// MaxDescriptors is the largest number of descriptors that a request or a reply
// carries.
const MaxDescriptors = 3

// RightsLen is a length of control messages with room for MaxDescriptors and a few
// more; the kernel closes those that do not fit.
const RightsLen = 128

// Rights returns the control message that carries fds, or nil if there are none.
func Rights(fds []int) []byte {
	if len(fds) == 0 {
		return nil
	}
	return unix.UnixRights(fds...)
}

// AppendRights appends the descriptors in the control messages oob, which the
// caller now owns, to fds. Those beyond MaxDescriptors in all are closed.
func AppendRights(fds []int, oob []byte) []int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fds
	}
	for _, m := range msgs {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // of another kind
		}
		for _, fd := range got {
			if len(fds) < MaxDescriptors {
				fds = append(fds, fd)
			} else {
				unix.Close(fd)
			}
		}
	}
	return fds
}

// CloseRights is [transport.CloseDescriptors].
func CloseRights(fds []int) { transport.CloseDescriptors(fds) }
