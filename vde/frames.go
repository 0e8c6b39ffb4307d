// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
)

// A Frame is a received frame and the one reference to its buffer; the receiver
// must Release it.
type Frame struct{ *pool.Buffer }

// View returns the frame's bytes for parsing, valid until Release; its header
// is always whole.
func (f Frame) View() frame.Frame { return frame.Frame(f.Bytes()) }

// Frames starts delivery on first call and always returns the same channel,
// closed by c when it ends; see Err for why. From the first call on, the read
// methods fail with [ErrBusy].
//
// Each element transfers one reference to its buffer. While the channel is full
// nothing is read, so frames wait in the kernel and in the end at the sender;
// nothing is dropped here. Frames on the channel stay receivable after the end;
// a consumer that stops receiving must drain the channel and Release, or the
// pool's count of live buffers shows them.
func (c *Conn) Frames() <-chan Frame {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	d := &c.frames
	if d.ch != nil {
		return d.ch
	}
	d.ch = make(chan Frame, d.depth)
	if c.life.closed {
		close(d.ch)
		return d.ch
	}
	c.framePool()
	if pool.LeakMode {
		c.setOwners()
	}
	// Wake a read that waits now; it returns ErrBusy.
	d.active.Store(true)
	_ = c.link.SetReadDeadline(deadline.Past()) // fails only if closed, which wakes it too
	c.life.running.Go(func() { c.deliver(d.ch) })
	return d.ch
}

// A delivery is the state of Frames.
type delivery struct {
	active atomic.Bool // written with life.mu held; true once Frames owns reading
	ch     chan Frame  // guarded by life.mu; nil until Frames is called
	pool   *pool.Pool  // guarded by life.mu until Frames is called; nil until framePool is
	depth  int
	owners owners // set by Frames in leak mode

	// Of the goroutine that delivers:
	windows [][]byte // the buffers' bytes; nil if the link gives buffers
	busy    bool     // the last receive brought something
}

// deliver moves frames from the link to ch until the connection ends.
func (c *Conn) deliver(ch chan<- Frame) {
	defer close(ch)
	// Once the lock is held, the last read has returned. Later reads see active
	// before they lock, so the lock is not kept: they fail without waiting.
	c.rx.mu.Lock()
	_ = c.link.SetReadDeadline(time.Time{}) // fails only if closed, which the first receive reports
	c.rx.mu.Unlock()

	bs := make([]*pool.Buffer, readBatch)
	defer pool.ReleaseBatch(bs)
	for {
		n, err := c.receiveBuffers(bs)
		if err != nil {
			c.deliveryEnded(err)
			return
		}
		var t tally
		var good [readBatch]bool
		for i, b := range bs[:n] {
			good[i] = t.take(b.Bytes(), c.rx.sizes[i], c.maxFrame)
		}
		// Count before delivery: the receiver of a frame finds it in Stats.
		c.stats.received(&t)
		for i, b := range bs[:n] {
			if !good[i] {
				continue // stays in bs for the next batch
			}
			c.hookReceived(b.Bytes())
			if pool.LeakMode {
				pool.AddOwner(c.frames.owners.frames, b)
			}
			if !c.put(ch, Frame{b}) {
				c.undelivered(bs[i:n], good[i:n])
				return
			}
			bs[i] = nil
		}
	}
}

// receiveBuffers receives frames into bs, whose windows they become. Elements that
// are nil are taken from the pool; those beyond the first n stay where they are.
func (c *Conn) receiveBuffers(bs []*pool.Buffer) (n int, err error) {
	if r := c.caps.Buffers; r != nil {
		n, err = r.RecvBuffers(bs, nil)
		for i, b := range bs[:n] {
			c.rx.sizes[i] = len(b.Bytes())
		}
		return n, err
	}
	// Wait with one buffer and ask for a full batch only while frames keep
	// coming, so that an idle connection holds one buffer.
	d := &c.frames
	if d.windows == nil {
		d.windows = make([][]byte, readBatch)
	}
	for {
		use := bs
		if !d.busy {
			use = bs[:1]
		}
		d.pool.GetBatch(use)
		if pool.LeakMode {
			pool.AddOwner(d.owners.receiving, use...)
		}
		windows := pool.Windows(d.windows, use)
		n, err = c.link.Recv(link.Rx{Bufs: windows, Sizes: c.rx.sizes[:], NoWait: d.busy})
		for i, b := range use[:n] {
			b.SetLen(min(c.rx.sizes[i], len(windows[i])))
		}
		clear(windows)
		d.busy = n > 0
		if err != link.ErrEmpty {
			return n, err
		}
		pool.ReleaseBatch(bs[1:])
	}
}

// put puts f on ch and reports whether it did; it returns false when c is closed.
func (c *Conn) put(ch chan<- Frame, f Frame) bool {
	select {
	case ch <- f:
		return true
	default:
	}
	ended := c.link.Done()
	for {
		select {
		case ch <- f:
			return true
		case <-c.life.closing:
			return false
		case <-ended:
			// The channel is full. End the context without waiting for room.
			c.finish()
			ended = nil
		}
	}
}

// undelivered moves the good ones of bs, counted as delivered, to the discarded.
func (c *Conn) undelivered(bs []*pool.Buffer, good []bool) {
	for i, b := range bs {
		if good[i] {
			c.stats.rxFrames.Add(^uint64(0))
			c.stats.rxBytes.Add(-uint64(len(b.Bytes())))
			c.stats.rxDiscarded.Add(1)
		}
	}
}

// deliveryEnded ends the context for the reason why nothing more comes.
func (c *Conn) deliveryEnded(err error) {
	switch {
	case errors.Is(err, net.ErrClosed):
	case c.hungUp():
		c.finish()
	default:
		c.life.cancel(err)
	}
}
