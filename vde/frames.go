// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"net"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/pool"
)

// A Frame is a received frame and the one reference to its buffer; the receiver
// must Release it.
type Frame struct{ *pool.Buffer }

// View returns the frame's bytes for parsing, valid until Release; its header
// is always whole. After [Conn.EnableOffload] it is not the frame, which then
// begins behind a header.
func (f Frame) View() frame.Frame { return frame.Frame(f.Bytes()) }

// Frames starts delivery on first call and always returns the same channel,
// closed by c when it ends; see Err for why. From the first call on, the read
// methods fail with [ErrBusy].
//
// Each element transfers one reference to its buffer. While the channel is full
// nothing is read, so frames wait in the kernel and in the end at the sender;
// nothing is dropped here. Frames on the channel stay receivable after the end;
// a consumer that leaves early must drain the channel and Release, or the
// pool's count of live buffers shows them.
func (c *Conn) Frames() <-chan Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frames != nil {
		return c.frames
	}
	c.frames = make(chan Frame, c.depth)
	if c.closed {
		close(c.frames)
		return c.frames
	}
	if c.pool == nil {
		size := c.maxFrame
		if c.offload.Load() {
			size = frame.VNetHeaderLen + max(size, frame.MaxGSO)
		}
		c.pool = pool.New(size, 0)
	}
	// A read that waits now is woken and finds that it has no business here.
	c.delivering.Store(true)
	_ = c.link.SetReadDeadline(aLongTimeAgo) // fails only if closed, which wakes it too
	c.running.Go(func() { c.deliver(c.frames) })
	return c.frames
}

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// deliver moves frames from the link to ch until the connection ends.
func (c *Conn) deliver(ch chan<- Frame) {
	defer close(ch)
	// Holding rmu once says that the last read has left; those that come later
	// see delivering before they touch anything, and must not be kept waiting.
	c.rmu.Lock()
	_ = c.link.SetReadDeadline(time.Time{}) // fails only if closed, which the first receive reports
	c.rmu.Unlock()

	bs := make([]*pool.Buffer, readBatch)
	defer func() {
		for _, b := range bs {
			if b != nil {
				b.Release()
			}
		}
	}()
	for {
		n, err := c.link.RecvBuffers(c.pool, bs, c.sizes[:])
		if err != nil {
			c.deliveryEnded(err)
			return
		}
		var t tally
		var good [readBatch]bool
		for i, b := range bs[:n] {
			good[i] = c.take(&t, b.Bytes(), c.sizes[i])
		}
		// Counted before they are handed over, so that whoever has received a
		// frame finds it in Stats.
		c.stats.received(&t)
		for i, b := range bs[:n] {
			if !good[i] {
				continue // stays in bs for the next batch
			}
			c.tapReceived(b.Bytes())
			if !c.hand(ch, Frame{b}) {
				c.undelivered(bs[i:n], good[i:n])
				return
			}
			bs[i] = nil
		}
	}
}

// hand puts f on ch and reports whether it did; it gives up when c is closed.
func (c *Conn) hand(ch chan<- Frame, f Frame) bool {
	select {
	case ch <- f:
		return true
	default:
	}
	ended := c.ended
	for {
		select {
		case ch <- f:
			return true
		case <-c.closing:
			return false
		case <-ended:
			// Nobody takes the frames that are left: that must not keep the
			// news from the context.
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
			c.stats.rxBytes.Add(-uint64(len(b.Bytes()) - c.headerLen()))
			c.stats.rxDiscarded.Add(1)
		}
	}
}

// deliveryEnded ends the connection for the reason why nothing more comes.
func (c *Conn) deliveryEnded(err error) {
	switch {
	case errors.Is(err, net.ErrClosed):
	case errors.Is(err, link.ErrDrained):
		c.finish()
	default:
		c.cancel(err)
	}
}
