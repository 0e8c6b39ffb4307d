// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/pool"
)

// A Conn is one port on a VDE network.
//
// All methods may be called from any goroutine. Reads are serialized with reads
// and writes with writes; everything else may overlap. Every error is a
// [*net.OpError] whose Net is "vde".
type Conn struct {
	_ noCopy

	link     link.Link
	addr     portAddr
	maxFrame int

	ctx    context.Context
	cancel context.CancelCauseFunc

	// Closing: Close sets closed and closes closing. Hanging up: end stores the
	// cause and closes ended; finish then cancels ctx, at once or, if a read is
	// under way, when that read has delivered what it got.
	mu      sync.Mutex
	closed  bool          // guarded by mu
	endOnce sync.Once     //
	cause   error         // why the other side ended; written once before ended is closed
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed by end
	running sync.WaitGroup

	rmu   sync.Mutex     // held by a read, also while it waits
	sizes [readBatch]int // guarded by rmu; belongs to Frames' goroutine once it has held rmu
	one   [1][]byte      // guarded by rmu; Read's batch of one

	wmu  sync.Mutex // held by Write, also while it waits
	wone [1][]byte  // guarded by wmu; Write's batch of one

	refusedAt atomic.Pointer[time.Time] // when a write first found the peer's data socket gone

	delivering atomic.Bool // written with mu held; true once Frames owns reading
	frames     chan Frame  // guarded by mu; nil until Frames is called
	pool       *pool.Pool
	depth      int

	offload atomic.Bool // frames have offload headers in front

	tap   func(Direction, frame.Frame) // may be nil
	stats counters
}

// readBatch is the largest number of frames one read takes from the link.
const readBatch = 64

var (
	_ net.PacketConn = (*Conn)(nil)
	_ syscall.Conn   = (*Conn)(nil)
)

// noCopy makes vet report copies of a struct that holds it.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// newConn returns a Conn on l, which it owns from here on. parent lends its
// values, not its end.
func newConn(parent context.Context, l link.Link, addr string, cfg *config) *Conn {
	c := &Conn{
		link:     l,
		addr:     portAddr(addr),
		maxFrame: cfg.maxFrame,
		closing:  make(chan struct{}),
		ended:    make(chan struct{}),
		pool:     cfg.pool,
		depth:    cfg.depth,
		tap:      cfg.tap,
	}
	c.ctx, c.cancel = context.WithCancelCause(context.WithoutCancel(parent))
	return c
}

// Context returns a context that carries the values of the one given to Open
// and is cancelled when the connection ends, with the reason as its cause:
// [ErrHangup] when the switch ended it, [net.ErrClosed] after Close.
//
// When the switch ends the connection while a read is waiting or Frames is
// delivering, the context ends after these have passed on the frames that were
// already queued, or as soon as nobody takes them; otherwise at once. Queued
// frames can still be read after that.
func (c *Conn) Context() context.Context { return c.ctx }

// Err returns nil while the connection is open and then the reason it ended,
// as [context.Cause] of Context does.
func (c *Conn) Err() error { return context.Cause(c.ctx) }

// LocalAddr names the port: its String is the VNL given to Open, or the one
// that was found if that was empty. A port has no MAC; its frames do.
func (c *Conn) LocalAddr() net.Addr { return c.addr }

// MaxFrameSize returns the longest frame that can be sent or received, in bytes,
// Ethernet header included. See [WithMaxFrameSize].
func (c *Conn) MaxFrameSize() int { return c.maxFrame }

// Close leaves the network and unblocks every call, which then returns an error
// that matches [net.ErrClosed]. It waits for the connection's own goroutines.
// Frames already on the Frames channel stay receivable; what the kernel still
// held is counted in Stats.RxDiscarded. Calls after the first return nil.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.closing)
	c.mu.Unlock()

	c.cancel(net.ErrClosed) // no effect if the switch hung up before
	unread, err := c.link.Close()
	c.stats.rxDiscarded.Add(uint64(unread))
	c.running.Wait()
	return c.opError("close", err)
}

// SetDeadline sets both deadlines; they apply to pending calls too. The zero
// time means none.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.setReadDeadline(t); err != nil {
		return c.opError("set", err)
	}
	return c.opError("set", c.link.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline of Read, ReadFrom and ReadBatch. It does
// not affect Frames.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.setReadDeadline(t))
}

// SetWriteDeadline sets the deadline of Write, WriteTo, WriteBatch and
// WriteBuffers.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.link.SetWriteDeadline(t))
}

func (c *Conn) setReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delivering.Load() && !c.closed {
		return nil
	}
	return c.link.SetReadDeadline(t)
}

// SyscallConn gives access to the data socket, on which one datagram is one
// frame; the control socket stays private. Frames moved through it are in no
// counter. For an in-process port it returns an error that matches
// [errors.ErrUnsupported].
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.link.SyscallConn()
	return raw, c.opError("syscall", err)
}

// end records that the other side ended the connection. It does not block.
func (c *Conn) end(cause error) {
	c.endOnce.Do(func() {
		c.cause = cause
		close(c.ended)
		c.link.Hangup()
		// Whoever holds rmu notices, because ended was closed before: see
		// readDone. If Frames owns reading, deliver finishes.
		if c.rmu.TryLock() {
			c.rmu.Unlock()
			if !c.delivering.Load() {
				c.finish()
			}
		}
	})
}

// hungUp reports whether end was called.
func (c *Conn) hungUp() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// endReason is what a call returns that found the connection hung up. Closing
// looks like a hangup to whoever watches the other side, so Close wins.
func (c *Conn) endReason() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	return c.cause
}

// finish cancels the context with the cause given to end.
func (c *Conn) finish() { c.cancel(c.cause) }

// isClosed reports whether Close was called.
func (c *Conn) isClosed() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}
