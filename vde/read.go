// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
)

// Read receives one frame, header included, into p and returns its length.
// io.ErrShortBuffer means that p held only the frame's beginning; the rest is
// lost and the frame counted in Stats.RxTruncated.
//
// Datagrams that are no frames, and frames over the maximum size, are skipped
// and counted.
func (c *Conn) Read(p []byte) (n int, err error) {
	c.rmu.Lock()
	n, err = c.readOne(p)
	c.rmu.Unlock()
	c.readDone()
	return n, c.opError("read", err)
}

// ReadFrom is Read that also returns the frame's source as an [Addr].
func (c *Conn) ReadFrom(p []byte) (n int, src net.Addr, err error) {
	n, err = c.Read(p)
	if at := c.headerLen(); n >= at+frame.HeaderLen {
		src = Addr{frame.Frame(p[at:]).Src()}
	}
	return n, src, err
}

// ReadBatch waits for a frame and then fills bufs from the front with as many
// as have come, re-slicing each filled element to its frame's length; it never
// writes beyond the length an element came with. Elements are lent for the
// call. Frames that do not fit their element or exceed the maximum size, and
// datagrams that are no frames, are discarded and counted; so that no element is
// lost, the order of elements may then differ from before. err is non-nil only
// if n is 0. One call returns at most 64 frames.
func (c *Conn) ReadBatch(bufs [][]byte) (n int, err error) {
	if len(bufs) == 0 {
		return 0, nil
	}
	c.rmu.Lock()
	n, err = c.readSome(bufs)
	c.rmu.Unlock()
	c.readDone()
	return n, c.opError("read", err)
}

// readOne is Read with rmu held.
func (c *Conn) readOne(p []byte) (int, error) {
	c.one[0] = p
	defer func() { c.one[0] = nil }()
	for {
		k, err := c.recv(c.one[:])
		if err != nil {
			return 0, err
		}
		var t tally
		whole := c.take(&t, p, c.sizes[0])
		c.stats.received(&t)
		switch {
		case k == 1 && whole:
			c.tapReceived(p[:c.sizes[0]])
			return c.sizes[0], nil
		case t.short:
			return len(p), io.ErrShortBuffer
		}
	}
}

// readSome is ReadBatch with rmu held.
func (c *Conn) readSome(bufs [][]byte) (int, error) {
	for {
		k, err := c.recv(bufs)
		if err != nil {
			return 0, err
		}
		var t tally
		n := 0
		for i, size := range c.sizes[:k] {
			if c.take(&t, bufs[i], size) {
				bufs[n], bufs[i] = bufs[i], bufs[n]
				bufs[n] = bufs[n][:size]
				c.tapReceived(bufs[n])
				n++
			}
		}
		c.stats.received(&t)
		if n > 0 {
			return n, nil
		}
	}
}

// recv receives from the link for a read method; rmu is held.
func (c *Conn) recv(bufs [][]byte) (int, error) {
	if c.delivering.Load() {
		return 0, ErrBusy
	}
	k, err := c.link.Recv(bufs, c.sizes[:])
	switch {
	case err == nil:
		return k, nil
	case errors.Is(err, link.ErrDrained):
		return 0, c.endReason()
	case errors.Is(err, os.ErrDeadlineExceeded) && c.delivering.Load():
		return 0, ErrBusy // Frames took over and woke this read
	}
	return 0, err
}

// readDone ends the context if the other side hung up while rmu was held by the
// caller, which has just released it: end then left that to us. Once Frames owns
// reading, it is for deliver to say when the last frame was passed on.
func (c *Conn) readDone() {
	if c.hungUp() && !c.delivering.Load() {
		c.finish()
	}
}

// A tally sorts the datagrams of one batch.
type tally struct {
	frames, bytes, runts, truncated, empty uint64

	short bool // the last one was truncated only because buf was too short
}

// take decides about what came with size bytes, whose beginning is in buf, and
// reports whether it is to be delivered.
func (c *Conn) take(t *tally, buf []byte, size int) bool {
	if c.offload.Load() {
		return t.takeOffload(buf, size, c.maxFrame)
	}
	return t.take(buf, size, c.maxFrame)
}

// take decides about a datagram of the given size whose beginning is in buf,
// and reports whether it is a frame to deliver.
func (t *tally) take(buf []byte, size, maxFrame int) bool {
	switch {
	case size == 0:
		t.empty++
	case size < frame.HeaderLen:
		t.runts++
	case size > maxFrame:
		t.truncated++
	case size > len(buf):
		t.truncated++
		t.short = true
	default:
		if _, err := frame.Parse(buf[:size]); err != nil {
			t.runts++
			return false
		}
		t.frames++
		t.bytes += uint64(size)
		return true
	}
	return false
}

// received adds the batch t, which one call brought.
func (s *counters) received(t *tally) {
	s.rxCalls.Add(1)
	s.rxFrames.Add(t.frames)
	s.rxBytes.Add(t.bytes)
	if t.runts+t.truncated+t.empty > 0 {
		s.rxRunts.Add(t.runts)
		s.rxTruncated.Add(t.truncated)
		s.rxEmpty.Add(t.empty)
	}
}
