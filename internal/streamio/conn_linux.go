// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A Conn is a connected stream socket on the runtime poller as a
// transport.Transport. Any goroutine may call any method at any time.
//
// The end of the stream is the failure of Recv and Send with an error that matches
// [link.ErrHangup]; what had come before is received first.
type Conn struct {
	framing *Framing
	file    *os.File
	raw     syscall.RawConn

	mu     sync.Mutex  // orders deadline changes against Hangup and Close
	closed atomic.Bool // written with mu held, before the descriptor is closed
	hungUp atomic.Bool // written with mu held

	rx receiver
	tx sender

	attendant attendant
	unsent    atomic.Uint64
}

var _ transport.Transport = (*Conn)(nil)

// NewConn takes ownership of fd, a connected stream socket, and makes it
// non-blocking. name is for errors. On failure fd is closed.
func NewConn(fd int, name string, framing *Framing) (*Conn, error) {
	c, err := newConn(fd, name, framing)
	if err == nil {
		c.start(func(error) {})
	}
	return c, err
}

// newConn is NewConn without start, which must follow.
func newConn(fd int, name string, framing *Framing) (*Conn, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	transport.RefuseDescriptors(fd) // fails on what takes none, and on old kernels
	c := &Conn{framing: framing, file: os.NewFile(uintptr(fd), name)}
	// Registration with the poller can fail without a word.
	err := c.file.SetDeadline(time.Time{})
	if err == nil {
		c.raw, err = c.file.SyscallConn()
	}
	if err == nil {
		c.rx.init(c)
		c.tx.init(c)
		err = c.attendant.open(fd, name)
	}
	if err != nil {
		c.file.Close()
		return nil, err
	}
	return c, nil
}

// start has ended called once when the other side has ended the stream, though
// frames may be left to receive.
func (c *Conn) start(ended func(cause error)) {
	c.attendant.running.Go(func() { c.attend(ended) })
}

// AwaitRoom implements [transport.Transport].
func (c *Conn) AwaitRoom() error {
	t := &c.tx
	t.waiting.Lock()
	defer t.waiting.Unlock()
	t.err = nil
	if err := c.raw.Write(t.roomStep); err != nil {
		return c.translate(err)
	}
	return t.err
}

// Shut implements [transport.Transport].
func (c *Conn) Shut() {
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RD) }) // fails if closed, as does all
}

// Hangup implements [transport.Transport].
func (c *Conn) Hangup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hungUp.Store(true)
	// These fail only when closed, which wakes everybody too.
	_ = c.file.SetDeadline(deadline.Past())
}

// shutdown ends the stream for both sides, while it may still be in use.
func (c *Conn) shutdown() {
	_ = c.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

// SetReadDeadline implements [transport.Transport].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(c.file.SetReadDeadline, t) }

// SetWriteDeadline implements [transport.Transport].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(c.file.SetWriteDeadline, t) }

func (c *Conn) setDeadline(set func(time.Time) error, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case c.hungUp.Load():
		return nil
	}
	return c.translate(set(t))
}

// Close implements [transport.Transport]. A frame of which a part was written and
// the rest was not is counted as unsent. unread counts whole frames.
func (c *Conn) Close() (unread int, err error) {
	c.mu.Lock()
	if c.closed.Swap(true) {
		c.mu.Unlock()
		return 0, nil
	}
	_ = c.file.SetReadDeadline(deadline.Past()) // a receive that waits lets go of rx
	c.mu.Unlock()

	c.tx.mu.Lock()
	c.forgetTail()
	c.tx.mu.Unlock()

	c.rx.mu.Lock()
	transport.Interrupted(func() { unread = c.drain() })
	c.rx.mu.Unlock()
	return unread, errors.Join(c.attendant.close(), c.file.Close())
}

// Unsent returns the number of frames that Send has accepted and that were not
// written whole when the stream ended.
func (c *Conn) Unsent() uint64 { return c.unsent.Load() }

// Caps implements [transport.Transport].
func (c *Conn) Caps() (caps link.Caps) {
	if c.framing.Metadata {
		caps.Offload = link.OffloadChecksum | link.OffloadTSO
	}
	return caps
}

// translate gives closing its one public name: the runtime's own error for a
// closed file matches neither os.ErrClosed nor net.ErrClosed.
func (c *Conn) translate(err error) error {
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	return err
}
