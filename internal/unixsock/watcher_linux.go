// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package unixsock

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Watcher waits for events of a descriptor that others read and write. It has an
// epoll instance of its own, which the runtime poller watches.
type Watcher struct {
	file *os.File
	fd   int
}

// NewWatcher returns a watcher for events of fd, which stays the caller's. name is for
// errors.
func NewWatcher(fd int, events uint32, name string) (*Watcher, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // else os.NewFile does not register it
		unix.Close(epfd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(epfd), name)
	if err = f.SetDeadline(time.Time{}); err == nil {
		err = os.NewSyscallError("epoll_ctl", unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events}))
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("descriptor cannot be polled: %w", err)
	}
	return &Watcher{f, fd}, nil
}

// Wait waits for an event until the deadline, if there is one.
func (w *Watcher) Wait(until time.Time) error {
	if err := w.file.SetReadDeadline(until); err != nil {
		return err
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(epfd uintptr) bool {
		var events [1]unix.EpollEvent
		n, err := unix.EpollWait(int(epfd), events[:], 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
}

// Close wakes Wait.
func (w *Watcher) Close() { w.file.Close() }
