// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport

import (
	"sync"
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
		unix.Close(fd)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		fds = c.queue
		c.queue = nil
		c.mu.Unlock()
		for _, fd := range fds {
			unix.Close(fd)
		}
		c.mu.Lock()
	}
	c.running--
	close(done)
}
