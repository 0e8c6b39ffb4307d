// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// A Conn is a connection to a network: an endpoint at a port of a VDE switch, or a
// link of another kind.
//
// All methods may be called from any goroutine. Reads are serialized with reads
// and writes with writes; everything else may overlap. Every error is a
// [*net.OpError] whose Net is "vde".
type Conn struct {
	link     link.Link
	caps     link.Caps // what does not change of its capabilities
	addr     portAddr
	maxFrame int
	hook     func(Direction, frame.Frame) // may be nil
	stats    counters
	life     life
	rx       reading
	tx       writing
	frames   delivery
}

// A life is the state of a connection from its beginning to its end. Close sets
// closed and closes closing. When the link ends, finish cancels ctx: at once or,
// if a read is under way, when that read has delivered what it got.
type life struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool          // guarded by mu
	closing chan struct{} // closed by Close
	watch   sync.Once     // starts the goroutine that ends ctx
	running sync.WaitGroup
}

// A reading is the state of the read methods.
type reading struct {
	mu    sync.Mutex     // held by a read, also while it waits; guards what follows
	sizes [readBatch]int // belongs to Frames' goroutine once it has held mu
	one   [1][]byte      // Read's batch of one
}

// A writing is the state of the write methods.
type writing struct {
	mu  sync.Mutex // held by Write, also while it waits
	one [1][]byte  // guarded by mu; Write's batch of one

	finishers atomic.Pointer[finishers] // nil until a packet was written that the link does not take
	ordinary  ordinarySender
}

// readBatch is the largest number of frames one read takes from the link.
const readBatch = 64

var (
	_ net.PacketConn = (*Conn)(nil)
	_ syscall.Conn   = (*Conn)(nil)
)

// NewConn returns a connection on l, which it owns from then on, also if it
// fails. [Conn.Context] carries the values of ctx and does not end with it. The
// options that have an effect are [WithName], [WithMaxFrameSize], [WithFrames]
// and [WithFrameHook]. The others are for the program that opens l, which gets
// them from [Settings].
func NewConn(ctx context.Context, l link.Link, opts ...Option) (*Conn, error) {
	cfg, err := newConfig(opts)
	if err == nil && cfg.reconnect != nil {
		err = fmt.Errorf("WithReconnect for a link that is there already: %w: give NewConn a link of link.Redial", errors.ErrUnsupported)
	}
	if err != nil {
		_, _ = l.Close()
		return nil, &net.OpError{Op: "open", Net: network, Err: err}
	}
	return newConn(ctx, l, &cfg), nil
}

// newConn is NewConn with the options applied.
func newConn(ctx context.Context, l link.Link, cfg *config) *Conn {
	c := &Conn{
		link:     l,
		caps:     l.Caps(),
		addr:     portAddr(cfg.name),
		maxFrame: cfg.MaxFrameSize,
		hook:     cfg.hook,
		frames:   delivery{pool: cfg.pool, depth: cfg.depth},
	}
	c.life.closing = make(chan struct{})
	c.life.ctx, c.life.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	c.tx.ordinary.link = l
	return c
}

// Context returns a context that carries the values of the one given to Open
// and is cancelled when the connection ends, with the reason as its cause:
// [ErrHangup] when the switch ended it, [net.ErrClosed] after Close.
//
// When the switch ends the connection while a read is waiting or Frames is
// delivering, the context ends after these have passed on the frames that were
// already queued, or as soon as the Frames channel is full; otherwise at once. Queued
// frames can still be read after that.
func (c *Conn) Context() context.Context {
	c.life.watch.Do(func() {
		c.life.mu.Lock()
		defer c.life.mu.Unlock()
		if !c.life.closed {
			c.life.running.Go(c.awaitEnd)
		}
	})
	return c.life.ctx
}

// awaitEnd ends the context when the link has ended, unless a read is under way,
// which then does it.
func (c *Conn) awaitEnd() {
	select {
	case <-c.link.Done():
		c.noteEnd()
	case <-c.life.closing:
	}
}

// Err returns nil while the connection is open and then the reason it ended,
// as [context.Cause] of Context does.
func (c *Conn) Err() error {
	c.noteEnd()
	return context.Cause(c.life.ctx)
}

// LocalAddr names the network: its String is the VNL given to Open, or the one
// that was found if that was empty. A Conn has no MAC address; its frames have.
func (c *Conn) LocalAddr() net.Addr { return c.addr }

// MaxFrameSize returns the longest frame that can be sent or received, in bytes,
// Ethernet header included. See [WithMaxFrameSize].
func (c *Conn) MaxFrameSize() int { return c.maxFrame }

// Close leaves the network and unblocks every call, which then returns an error
// that matches [net.ErrClosed]. It waits for the connection's own goroutines.
// Frames already on the Frames channel stay receivable; what the kernel still
// held is counted in Stats.RxDiscarded. Calls after the first return nil.
func (c *Conn) Close() error {
	c.noteEnd() // a link that has ended keeps its reason
	c.life.mu.Lock()
	if c.life.closed {
		c.life.mu.Unlock()
		return nil
	}
	c.life.closed = true
	close(c.life.closing)
	c.life.mu.Unlock()

	c.life.cancel(net.ErrClosed) // no effect if the link ended before
	unread, err := c.link.Close()
	c.stats.rxDiscarded.Add(uint64(unread))
	c.life.running.Wait()
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

// SetReadDeadline sets the deadline of Read, ReadFrom, ReadBatch and ReadPackets.
// It does not affect Frames.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.opError("set", c.setReadDeadline(t))
}

// SetWriteDeadline sets the deadline of Write, WriteTo, WriteBatch, WriteBuffers
// and WritePackets.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.opError("set", c.link.SetWriteDeadline(t))
}

func (c *Conn) setReadDeadline(t time.Time) error {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	if c.frames.active.Load() && !c.life.closed {
		return nil
	}
	return c.link.SetReadDeadline(t)
}

// SyscallConn gives access to the descriptor on which one message is one frame:
// for a port of a switch the data socket, while the control socket stays private.
// Frames moved through it are in no counter. Where there is no such descriptor,
// because frames go through memory or a stream, the error matches
// [errors.ErrUnsupported].
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	raw := c.link.Caps().Raw
	switch {
	case raw != nil:
		return raw, nil
	case c.caps.State != nil && !c.LinkState().Up:
		return nil, c.opError("syscall", ErrLinkDown)
	}
	return nil, c.opError("syscall", fmt.Errorf("frames of this connection do not go through a descriptor: %w", errors.ErrUnsupported))
}

// Caps returns what the connection can do at this moment: with [WithReconnect]
// they can change with the switch. They affect speed only.
func (c *Conn) Caps() link.Caps { return c.link.Caps() }

// noteEnd ends the context if the link has ended and no read is under way. A read
// does that itself when it returns, and Frames when it has passed on what was
// left.
func (c *Conn) noteEnd() {
	if !c.hungUp() || !c.rx.mu.TryLock() {
		return
	}
	c.rx.mu.Unlock()
	if !c.frames.active.Load() {
		c.finish()
	}
}

// hungUp reports whether the link has ended.
func (c *Conn) hungUp() bool {
	select {
	case <-c.link.Done():
		return true
	default:
		return false
	}
}

// endReason returns the error of a call that found the link ended. Close also ends
// the link, so after Close the error is net.ErrClosed.
func (c *Conn) endReason() error {
	if c.isClosed() {
		return net.ErrClosed
	}
	return c.link.Err()
}

// finish cancels the context with the reason of the link's end.
func (c *Conn) finish() { c.life.cancel(c.link.Err()) }

// isClosed reports whether Close was called.
func (c *Conn) isClosed() bool {
	select {
	case <-c.life.closing:
		return true
	default:
		return false
	}
}
