// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// An attendant is a goroutine that waits for what nobody else may be waiting for:
// the end of the stream while nobody receives, and room for the tail while nobody
// sends. It has an epoll instance of its own, which holds the socket and which the
// runtime poller watches, so that it does not depend on the deadlines of the Conn.
type attendant struct {
	running sync.WaitGroup
	fd      int
	file    *os.File // of the epoll instance
	raw     syscall.RawConn
	step    func(epfd uintptr) bool
	arm     func(epfd uintptr)
	events  uint32 // of the last step; the goroutine's
}

func (a *attendant) open(fd int, name string) error {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // else os.NewFile does not register it
		unix.Close(epfd)
		return os.NewSyscallError("fcntl", err)
	}
	a.fd, a.file = fd, os.NewFile(uintptr(epfd), name)
	if err = a.file.SetDeadline(time.Time{}); err == nil {
		err = os.NewSyscallError("epoll_ctl", unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLRDHUP}))
	}
	if err == nil {
		a.raw, err = a.file.SyscallConn()
	}
	if err != nil {
		a.file.Close()
		return fmt.Errorf("descriptor cannot be polled: %w", err)
	}
	a.step = a.look
	a.arm = func(epfd uintptr) { a.watch(epfd, unix.EPOLLRDHUP|unix.EPOLLOUT) }
	return nil
}

// look asks for events. It returns false if there are none.
func (a *attendant) look(epfd uintptr) bool {
	var events [1]unix.EpollEvent
	n, err := unix.EpollWait(int(epfd), events[:], 0)
	a.events = events[0].Events
	return n > 0 || err != nil && err != unix.EINTR
}

// watch sets what to wait for. It fails when the stream has ended and nothing is
// waited for any more.
func (a *attendant) watch(epfd uintptr, events uint32) {
	_ = unix.EpollCtl(int(epfd), unix.EPOLL_CTL_MOD, a.fd, &unix.EpollEvent{Events: events})
}

// wantRoom has the attendant write the tail as soon as there is room.
func (a *attendant) wantRoom() { _ = a.raw.Control(a.arm) } // fails if closed, and then there is no tail

// attend is the goroutine. It ends with the stream and at Close.
func (c *Conn) attend(ended func(cause error)) {
	a := &c.attendant
	for a.raw.Read(a.step) == nil {
		if a.events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			_ = a.raw.Control(func(epfd uintptr) { _ = unix.EpollCtl(int(epfd), unix.EPOLL_CTL_DEL, a.fd, nil) })
			ended(c.reason(a.events))
			return
		}
		c.tx.mu.Lock()
		_ = c.raw.Control(func(fd uintptr) {
			if c.flush(int(fd)) != link.ErrFull {
				_ = a.raw.Control(func(epfd uintptr) { a.watch(epfd, unix.EPOLLRDHUP) })
			}
		})
		c.tx.mu.Unlock()
	}
}

// reason returns why the stream has ended.
func (c *Conn) reason(events uint32) error {
	cause := link.ErrHangup
	if events&unix.EPOLLERR == 0 {
		return cause
	}
	_ = c.raw.Control(func(fd uintptr) {
		if errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && errno != 0 {
			cause = fmt.Errorf("%w: %w", link.ErrHangup, syscall.Errno(errno))
		}
	})
	return cause
}

// close ends the goroutine and waits for it.
func (a *attendant) close() error {
	err := a.file.Close()
	a.running.Wait()
	return err
}
