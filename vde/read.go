// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// Read receives one frame, header included, into p and returns its length.
// io.ErrShortBuffer means that p held only the frame's beginning; the rest is
// lost and the frame counted in Stats.RxTruncated.
//
// Datagrams that are no frames, and frames over the maximum size, are skipped
// and counted.
func (c *Conn) Read(p []byte) (n int, err error) {
	c.rx.mu.Lock()
	n, err = c.readOne(p)
	c.rx.mu.Unlock()
	c.noteEnd()
	return n, c.opError("read", err)
}

// ReadFrom is Read that also returns the frame's source as an [Addr].
func (c *Conn) ReadFrom(p []byte) (n int, src net.Addr, err error) {
	n, err = c.Read(p)
	if n >= frame.HeaderLen {
		src = Addr{frame.Frame(p).Src()}
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
	c.rx.mu.Lock()
	n, err = c.readSome(bufs, nil)
	c.rx.mu.Unlock()
	c.noteEnd()
	return n, c.opError("read", err)
}

// readOne is Read with rx.mu held.
func (c *Conn) readOne(p []byte) (int, error) {
	r := &c.rx
	r.one[0] = p
	defer func() { r.one[0] = nil }()
	for {
		k, err := c.receive(link.Rx{Bufs: r.one[:], Sizes: r.sizes[:]})
		if err != nil {
			return 0, err
		}
		var t tally
		whole := t.take(p, r.sizes[0], c.maxFrame)
		c.stats.received(&t)
		switch {
		case k == 1 && whole:
			c.hookReceived(p[:r.sizes[0]])
			return r.sizes[0], nil
		case t.short:
			return len(p), io.ErrShortBuffer
		}
	}
}

// readSome is ReadBatch, or ReadPackets if headers is not nil, with rx.mu held.
func (c *Conn) readSome(bufs [][]byte, headers []frame.VNetHeader) (int, error) {
	r := &c.rx
	for {
		k, err := c.receive(link.Rx{Bufs: bufs, Sizes: r.sizes[:], Headers: headers})
		if err != nil {
			return 0, err
		}
		var t tally
		n := 0
		for i, size := range r.sizes[:k] {
			if !t.take(bufs[i], size, c.longest(headers, i, size)) {
				continue
			}
			bufs[n], bufs[i] = bufs[i], bufs[n]
			bufs[n] = bufs[n][:size]
			if headers != nil {
				headers[n] = headers[i]
			}
			c.hookReceived(bufs[n])
			n++
		}
		c.stats.received(&t)
		if n > 0 {
			return n, nil
		}
	}
}

// longest returns the length that the i-th frame of a batch may have, of the size
// that it has. Of a GSO frame the segments obey the maximum size.
func (c *Conn) longest(headers []frame.VNetHeader, i, size int) int {
	if headers == nil || headers[i].GSOType == frame.GSONone || gso.Longest(headers[i], size) > c.maxFrame {
		return c.maxFrame
	}
	return frame.MaxGSO
}

// receive receives from the link for a read method; rx.mu is held.
func (c *Conn) receive(r link.Rx) (int, error) {
	if c.isClosed() {
		return 0, net.ErrClosed
	}
	if c.frames.active.Load() {
		return 0, ErrBusy
	}
	k, err := c.link.Recv(r)
	switch {
	case err == nil:
		return k, nil
	case c.isClosed():
		return 0, net.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded) && c.frames.active.Load():
		return 0, ErrBusy // Frames took over and woke this read
	}
	return 0, err
}

// A tally sorts the datagrams of one batch.
type tally struct {
	frames, bytes, runts, truncated, empty uint64

	short bool // the last one was truncated only because buf was too short
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
