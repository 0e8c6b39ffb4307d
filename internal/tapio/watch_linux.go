// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tapio

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// A Watch learns of changes to the interfaces of a network namespace. The kernel
// tells a process that waits for a frame when the interface is removed, and one that
// does not, or that waits for one of macvtap, never.
type Watch struct{ events *os.File }

// NewWatch watches the namespace of the calling thread from now on. It returns nil
// if the system does not allow that; then a link learns of the removal from its calls.
func NewWatch() *Watch {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		unix.Close(fd)
		return nil
	}
	return &Watch{os.NewFile(uintptr(fd), "netlink")}
}

// wait waits for the next change. What it is does not matter: the descriptor of the
// device tells. A queue that overflowed (ENOBUFS) is a change too.
func (w *Watch) wait() error {
	var b [1]byte
	_, err := w.events.Read(b[:])
	if errors.Is(err, unix.ENOBUFS) {
		err = nil
	}
	return err
}

// Close ends the watch. That of a nil Watch does nothing.
func (w *Watch) Close() {
	if w != nil {
		w.events.Close()
	}
}
