// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"fmt"
	"net"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// WithOffload offers the switch to have an offload header in front of each
// datagram, for a connection that is going to call [Conn.EnableOffload] and whose
// frames go through sockets. Through shared memory, and on in-process ports, no
// offer is needed. Switches that do not know of it ignore it.
func WithOffload() Option {
	return option(func(c *config) { c.offload = true })
}

// EnableOffload puts a [frame.VNetHeader] header in front of each frame, as
// IFF_VNET_HDR does for a tap device: from the next call on, what is given to a
// write method, and what a read method or Frames gives, is frame.VNetHeaderLen
// bytes of header and then the frame. It cannot be undone; call it before the
// first read and write.
//
// A frame to send may then be a TCP segment of up to [frame.MaxGSO] bytes,
// whose parts, as the header says they are to be cut, obey MaxFrameSize; and the
// checksum of TCP or UDP may be left out. What the other side has not agreed to
// take is done here, in software, before it leaves. A header that is not valid,
// or a frame that is not what it says, is refused with an error that matches
// [ErrOffload]. Frames with nothing left undone have a header of zeros.
//
// Received frames may be such segments, too, and lack checksums, if the other
// side has agreed: buffers for reading should have room for 64 KiB, and those of
// a pool given with [WithFrames] as well. What is not what its header says is
// discarded, and counted in Stats.RxRunts.
//
// Lengths that methods take and return include the header; [Stats] and taps do
// not know of it. A frame counts as one, however many it is cut into. When such
// a frame meets a full queue, a deadline or an error, it is not sent although
// some of its parts were.
func (c *Conn) EnableOffload() {
	c.link.EnableOffload()
	c.offload.Store(true)
}

// OffloadEnabled reports whether EnableOffload was called.
func (c *Conn) OffloadEnabled() bool { return c.offload.Load() }

// OffloadAgreed reports whether the other side takes frames with offload headers
// as they are, at this moment: a connection opened with [WithReconnect] may be
// joined to another switch next. Nothing depends on it but speed.
func (c *Conn) OffloadAgreed() bool {
	l, ok := c.link.(interface{ OffloadAgreed() bool })
	return ok && l.OffloadAgreed()
}

// headerLen returns how many bytes there are in front of each frame.
func (c *Conn) headerLen() int {
	if c.offload.Load() {
		return frame.VNetHeaderLen
	}
	return 0
}

// check returns why f cannot be sent, or nil.
func (c *Conn) check(f []byte) error {
	if !c.offload.Load() {
		return c.checkSize(len(f))
	}
	return c.checkOffload(f, len(f))
}

// checkPieces is check for a frame in pieces.
func (c *Conn) checkPieces(f net.Buffers) error {
	n := gso.Length(f)
	if !c.offload.Load() {
		return c.checkSize(n)
	}
	var head [frame.VNetHeaderLen + gso.MaxHead]byte
	return c.checkOffload(head[:gso.Gather(head[:], f)], n)
}

// checkOffload is check for a frame with its header, n bytes together, of which
// head is the beginning.
func (c *Conn) checkOffload(head []byte, n int) error {
	o, err := frame.ParseVNetHeader(head)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOffload, err)
	}
	n -= frame.VNetHeaderLen
	if o.GSOType == frame.GSONone || n < frame.HeaderLen {
		if err := c.checkSize(n); err != nil {
			return err
		}
	}
	if err := gso.CheckHead(o, head[frame.VNetHeaderLen:], n); err != nil {
		return fmt.Errorf("%w: %w", ErrOffload, err)
	}
	return c.checkSize(gso.Longest(o, n))
}

// takeOffload is take for a frame with its header.
func (t *tally) takeOffload(buf []byte, size, maxFrame int) bool {
	switch {
	case size == 0:
		t.empty++
		return false
	case size < frame.VNetHeaderLen+frame.HeaderLen:
		t.runts++
		return false
	case len(buf) < frame.VNetHeaderLen:
		t.truncated++
		t.short = true
		return false
	}
	o, _ := frame.ParseVNetHeader(buf)
	f, n := buf[frame.VNetHeaderLen:], size-frame.VNetHeaderLen
	if o.GSOType == frame.GSONone {
		return t.take(f, n, maxFrame) && t.agrees(o, f[:n])
	}
	if gso.Longest(o, n) > maxFrame {
		t.truncated++
		return false
	}
	return t.take(f, n, frame.MaxGSO) && t.agrees(o, f[:n])
}

// agrees reports whether f, which was counted as a frame, is what o says, and
// counts it as none if not.
func (t *tally) agrees(o frame.VNetHeader, f []byte) bool {
	if gso.Check(o, f) == nil {
		return true
	}
	t.frames--
	t.bytes -= uint64(len(f))
	t.runts++
	return false
}
