// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Closing a descriptor that another process sent takes as long as the file wants:
// a file system in user space answers when it likes, a TCP socket lingers. So it
// is done by goroutines for which nobody waits longer than closeWait, each of
// which then keeps a thread. There are at most maxClosers.
const (
	maxClosers = 64
	closeWait  = 100 * time.Millisecond
)

// RefuseDescriptors has the kernel refuse descriptors that are sent to the socket fd
// from now on, and reports whether it can: since Linux 6.16.
func RefuseDescriptors(fd int) bool {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0) == nil
}

// interruptAfter is how long a system call of Interrupted may take at first.
const interruptAfter = time.Millisecond

// Interrupted calls f, whose system calls are not meant to wait: it closes a socket,
// or reads what has come on it. If there are descriptors in the socket's queue that
// this process does not take, the kernel closes their files in that call, and a TCP
// socket may linger. A signal ends that: the one with which the runtime interrupts
// goroutines, and which does nothing else.
func Interrupted(f func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, thread, pause := os.Getpid(), unix.Gettid(), interruptAfter
	var returned atomic.Bool
	var timer *time.Timer
	timer = time.AfterFunc(time.Hour, func() {
		if returned.Load() {
			return
		}
		_ = unix.Tgkill(pid, thread, unix.SIGURG) // fails if the thread is gone
		// Once more: the thread may not have come to the wait yet.
		pause = min(2*pause, closeWait)
		timer.Reset(pause)
	})
	timer.Reset(interruptAfter)
	f()
	returned.Store(true)
	timer.Stop()
}

// CloseSocket closes fd, a socket that may linger, or in whose queue there may be
// descriptors.
func CloseSocket(fd int) (err error) {
	Interrupted(func() { err = unix.Close(fd) })
	return os.NewSyscallError("close", err)
}

// CloseConnection closes the connected stream socket fd without waiting at all.
func CloseConnection(fd int) {
	_ = unix.Shutdown(fd, unix.SHUT_RD) // nothing can come after this
	// How much there is, urgent bytes included, which a look with MSG_PEEK skips.
	if n, err := unix.IoctlGetInt(fd, unix.SIOCINQ); err == nil && n == 0 {
		unix.Close(fd)
	} else {
		go CloseSocket(fd)
	}
}

// A closer closes descriptors in goroutines of its own.
type closer struct {
	mu      sync.Mutex
	running int   // guarded by mu; goroutines
	queue   []int // guarded by mu; to be closed by the next one that gets on
}

var descriptors closer

// CloseDescriptors closes fds, which another process sent, but for those that are
// -1. If that takes long, it goes on after CloseDescriptors has returned.
func CloseDescriptors(fds []int) {
	var open []int
	for _, fd := range fds {
		if fd >= 0 {
			open = append(open, fd)
		}
	}
	if len(open) > 0 {
		descriptors.close(open)
	}
}

// ClosersBusy reports whether so many descriptors that other processes sent take
// long to close that no more should be received.
func ClosersBusy() bool {
	descriptors.mu.Lock()
	defer descriptors.mu.Unlock()
	return descriptors.running == maxClosers
}

func (c *closer) close(fds []int) {
	c.mu.Lock()
	if c.running == maxClosers {
		c.queue = append(c.queue, fds...)
		c.mu.Unlock()
		return
	}
	c.running++
	c.mu.Unlock()
	done := make(chan struct{})
	go c.run(fds, done)
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// run closes fds and what is in the queue, and then done.
func (c *closer) run(fds []int, done chan<- struct{}) {
	for _, fd := range fds {
		CloseSocket(fd)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		fds = c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, fd := range fds {
			CloseSocket(fd)
		}
		c.mu.Lock()
	}
	c.running--
	close(done)
}
