// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/deadline"
)

// A polled is a socket on the runtime poller with its deadlines and its end, which
// [Socket] and [Stream] have in common.
type polled struct {
	desc descriptor

	mu     sync.Mutex  // orders deadline changes against Hangup and Close
	closed atomic.Bool // written with mu held, before the descriptor is closed
	hungUp atomic.Bool // written with mu held
}

// AwaitRoom waits until the kernel's queue has room again, which on Linux is when
// three quarters of it are free, or until the write deadline.
func (p *polled) AwaitRoom() error { return p.translate(p.desc.write(roomy)) }

// roomy reports whether the queue of fd has room. It asks the kernel: the runtime
// poller knows only of changes since the wait began.
func roomy(fd uintptr) bool { return polls(int(fd), unix.POLLOUT) }

// polls reports whether fd has one of events, an error, or ended, or cannot be asked.
func polls(fd int, events int16) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// Shut refuses what the other side sends from here on; what it sent before can
// still be received.
func (p *polled) Shut() {
	_ = p.desc.hold(func(uintptr) { _ = unix.Shutdown(int(p.desc.fd), unix.SHUT_RD) }) // fails if closed, as does all
}

// Hangup ends waiting for good: pending and later receives take what the kernel
// still holds and then return [transport.ErrDrained]; pending and later waiting sends
// fail with [os.ErrDeadlineExceeded] instead of waiting. It is idempotent.
func (p *polled) Hangup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hungUp.Store(true)
	// These fail only when closed, which wakes everybody too.
	_ = p.desc.setReadDeadline(deadline.Past())
	_ = p.desc.setWriteDeadline(deadline.Past())
}

// SetReadDeadline bounds pending and later receives; zero means no bound. After
// Hangup it has no effect, after Close it fails.
func (p *polled) SetReadDeadline(t time.Time) error {
	return p.setDeadline(p.desc.setReadDeadline, t)
}

// SetWriteDeadline is SetReadDeadline for sends that wait.
func (p *polled) SetWriteDeadline(t time.Time) error {
	return p.setDeadline(p.desc.setWriteDeadline, t)
}

func (p *polled) setDeadline(set func(time.Time) error, t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed.Load():
		return net.ErrClosed
	case p.hungUp.Load():
		return nil
	}
	return p.translate(set(t))
}

// close begins Close, and reports whether that has begun before. Pending receives
// let go of what they hold.
func (p *polled) close() (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Swap(true) {
		return true
	}
	_ = p.desc.setReadDeadline(deadline.Past())
	return false
}

// translate gives closing its one public name: the runtime's own error for a
// closed file matches neither os.ErrClosed nor net.ErrClosed.
func (p *polled) translate(err error) error {
	if err != nil && p.closed.Load() {
		return net.ErrClosed
	}
	return err
}
