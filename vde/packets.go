// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"fmt"
	"net"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// WithOffload offers the switch virtio-net headers on frames that go through
// sockets. Shared memory and in-process ports carry them without an offer.
// Switches that do not support the offer ignore it. See [Conn.ReadPackets].
func WithOffload() Option {
	return option(func(c *config) { c.Offload = true })
}

// errHeaders is returned where there are fewer headers than frames.
var errHeaders = errors.New("fewer headers than frames")

// ReadPackets is [Conn.ReadBatch] with the virtio-net header of each frame:
// headers[i] for bufs[i]. A frame may be a TCP
// segment of up to [frame.MaxGSO] bytes, whose segments obey MaxFrameSize, and its
// TCP or UDP checksum may be partial: buffers should have room for 64 KiB. The
// first call tells the other side that it may send such frames; the other read
// methods segment them and compute their checksums.
//
// len(headers) must not be less than len(bufs). Both are lent for the call.
func (c *Conn) ReadPackets(bufs [][]byte, headers []frame.VNetHeader) (n int, err error) {
	switch {
	case len(bufs) == 0:
		return 0, nil
	case len(headers) < len(bufs):
		return 0, c.opError("read", errHeaders)
	}
	c.rx.mu.Lock()
	n, err = c.readSome(bufs, headers)
	c.rx.mu.Unlock()
	c.noteEnd()
	return n, c.opError("read", err)
}

// WritePackets is [Conn.WriteBuffers] for frames with virtio-net headers, one for
// each: a TCP segment of up to [frame.MaxGSO] bytes whose segments obey
// MaxFrameSize, UDP datagrams together of as many, or a frame whose TCP or UDP checksum is partial. Frames that the
// other side does not take ([Conn.Caps]) are segmented, and their checksums
// computed, in software before they are sent. A frame that is not what its header says is refused with an error that
// matches [ErrOffload].
//
// A packet counts as one frame, into however many it is segmented. When it meets a
// full queue, a deadline or an error, it is reported as not sent although some of
// its segments were.
func (c *Conn) WritePackets(frames []net.Buffers, headers []frame.VNetHeader) (n int, err error) {
	return c.writePackets(link.Tx{Pieces: frames, Headers: headers})
}

// TryWritePackets is WritePackets that never waits, as [Conn.TryWriteBatch].
func (c *Conn) TryWritePackets(frames []net.Buffers, headers []frame.VNetHeader) (n int, err error) {
	return c.writePackets(link.Tx{Pieces: frames, Headers: headers, NoWait: true})
}

func (c *Conn) writePackets(t link.Tx) (n int, err error) {
	switch {
	case len(t.Pieces) == 0:
		return 0, nil
	case len(t.Headers) < len(t.Pieces):
		return 0, c.opError("write", errHeaders)
	}
	t.Headers = t.Headers[:len(t.Pieces)]
	n, err = c.send(t)
	return n, c.opError("write", err)
}

// checkPacket returns why packet i of t cannot be sent, or nil.
func (c *Conn) checkPacket(t *link.Tx, i int) error {
	h, n := t.Headers[i], t.Size(i)
	if h.GSOType == frame.GSONone || n < frame.HeaderLen {
		if err := c.checkSize(n); err != nil {
			return err
		}
		if h.IsZero() {
			return nil
		}
	}
	var space [gso.MaxHead]byte
	head := space[:gso.Gather(space[:], t.Pieces[i])]
	h, err := gso.AcceptUSO(h, head, n)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOffload, err)
	}
	return c.checkSize(gso.Longest(h, n))
}

// sendLink sends t on the link, and finishes first what that does not take.
func (c *Conn) sendLink(t link.Tx) (n, calls int, err error) {
	if t.Headers == nil || c.takes(t.Headers) {
		return c.link.Send(t)
	}
	f := c.tx.finishers.Load()
	if f == nil {
		c.tx.finishers.CompareAndSwap(nil, new(finishers))
		f = c.tx.finishers.Load()
	}
	if t.NoWait {
		return f.try.SendPieces(&c.tx.ordinary, t.Pieces, t.Headers, false)
	}
	return f.wait.SendPieces(&c.tx.ordinary, t.Pieces, t.Headers, true)
}

// finishers finish packets, for writes that wait and for those that do not, which
// must not queue behind one that does.
type finishers struct{ wait, try gso.Finisher }

// takes reports whether the link takes frames with these headers.
func (c *Conn) takes(headers []frame.VNetHeader) bool {
	offload := c.link.Caps().Offload
	for _, h := range headers {
		if !offload.Takes(h) {
			return false
		}
	}
	return true
}

// An ordinarySender sends finished frames on the link; it is a gso.Sender.
type ordinarySender struct{ link link.Link }

// SendPieces implements gso.Sender.
func (s *ordinarySender) SendPieces(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return s.link.Send(link.Tx{Pieces: frames, NoWait: !wait})
}
