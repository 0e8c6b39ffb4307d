// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A waiter lets calls wait until one of several sockets is ready.
//
// A socket that is registered with an epoll instance costs a callback for each
// datagram, whether anybody waits or not. So the sockets are in the instance, which
// the runtime poller watches, only from the moment that a call has to wait until
// some calls in a row did not have to.
type waiter struct {
	fds    []int
	events uint32
	epfd   int
	file   *os.File // epfd
	raw    syscall.RawConn

	mu      sync.Mutex // held for a whole wait; guards what follows
	armed   bool       // the sockets are in the instance
	streak  int        // attempts in a row that did not wait, while armed
	failure error
	try     func() bool
	step    func(uintptr) bool // attempt, made once
}

// disarmAfter is how many attempts in a row must not have had to wait.
const disarmAfter = 16

func (w *waiter) open(name string, events uint32, fds []int) (err error) {
	w.fds, w.events = fds, events|unix.EPOLLET
	if w.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(w.epfd, true); err != nil { // else os.NewFile does not register it
		unix.Close(w.epfd)
		return os.NewSyscallError("fcntl", err)
	}
	w.file = os.NewFile(uintptr(w.epfd), name)
	// Registration with the poller can fail without a word; then every call
	// would block a thread and deadlines would be ignored.
	if err = w.file.SetDeadline(time.Time{}); err == nil {
		w.raw, err = w.file.SyscallConn()
	}
	if err != nil {
		w.file.Close()
		return fmt.Errorf("sockets cannot be polled: %w", err)
	}
	w.step = func(uintptr) bool { return w.attempt() }
	return nil
}

// wait calls try until it reports true, and waits for the sockets in between.
func (w *waiter) wait(try func() bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.try, w.failure = try, nil
	err := w.raw.Read(w.step)
	w.try = nil
	if w.failure != nil {
		return w.failure
	}
	return err
}

// attempt reports whether the wait is over; false parks the caller.
func (w *waiter) attempt() bool {
	if w.try() {
		if w.armed {
			if w.streak++; w.streak == disarmAfter {
				w.arm(unix.EPOLL_CTL_DEL)
			}
		}
		return true
	}
	w.streak = 0
	if w.armed {
		return false
	}
	// From here on a change is noticed: what came before is found by trying again.
	if w.arm(unix.EPOLL_CTL_ADD); w.failure != nil {
		return true
	}
	return w.try()
}

// arm puts the sockets into the epoll instance or takes them out.
func (w *waiter) arm(op int) {
	for _, fd := range w.fds {
		err := unix.EpollCtl(w.epfd, op, fd, &unix.EpollEvent{Events: w.events})
		if err != nil && err != unix.EEXIST && err != unix.ENOENT {
			w.failure = os.NewSyscallError("epoll_ctl", err)
			return
		}
	}
	w.armed, w.streak = op == unix.EPOLL_CTL_ADD, 0
}

// hold calls f, with an argument that means nothing, and keeps the sockets open
// meanwhile. It does not look at deadlines.
func (w *waiter) hold(f func(uintptr)) error { return w.raw.Control(f) }

func (w *waiter) setDeadline(t time.Time) error { return w.file.SetReadDeadline(t) }

// close wakes every call and waits until the last has returned.
func (w *waiter) close() error { return w.file.Close() }
