// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/link"
)

// Write sends one frame, header included. It waits while the peer's queue is
// full, until the write deadline or Close. p is lent for the call and not
// modified.
//
// A frame shorter than a header or longer than the maximum size is refused with
// an error that matches [ErrFrameSize].
func (c *Conn) Write(p []byte) (n int, err error) {
	c.wmu.Lock()
	c.wone[0] = p
	sent, err := c.send(c.wone[:], true)
	c.wone[0] = nil
	c.wmu.Unlock()
	if sent == 1 {
		n = len(p)
	}
	return n, c.opError("write", err)
}

// WriteTo is Write that also checks dst, which must be nil or an [Addr] equal to
// the frame's destination: p is never rewritten.
func (c *Conn) WriteTo(p []byte, dst net.Addr) (n int, err error) {
	if at := c.headerLen(); dst != nil && len(p) >= at+frame.HeaderLen {
		if to := (Addr{frame.Frame(p[at:]).Dst()}); dst != net.Addr(to) {
			c.stats.txInvalid.Add(1)
			return 0, c.opErrorTo("write", dst, fmt.Errorf("frame is for %v: %w", to, errDestination))
		}
	}
	return c.Write(p)
}

// WriteBatch sends frames in order, waiting while the peer's queue is full. If
// n < len(frames), err is why frames[n] was not sent; the caller may go on with
// frames[n+1:]. Frames are lent for the call and not modified.
func (c *Conn) WriteBatch(frames [][]byte) (n int, err error) {
	n, err = c.send(frames, true)
	return n, c.opError("write", err)
}

// TryWriteBatch is WriteBatch that never waits, whatever the write deadline: it
// sends what the queue takes. If n < len(frames) because the queue is full, err
// matches [ErrFull] and the frames not sent are counted in Stats.TxFull.
func (c *Conn) TryWriteBatch(frames [][]byte) (n int, err error) {
	n, err = c.send(frames, false)
	return n, c.opError("write", err)
}

// WriteBuffers is WriteBatch with each frame given in pieces, which are
// gathered on the way out without a copy in this package. At most 1024 pieces
// make a frame. Neither the slices nor the bytes are modified.
func (c *Conn) WriteBuffers(frames []net.Buffers) (n int, err error) {
	n, err = c.sendBuffers(frames)
	return n, c.opError("write", err)
}

// send checks the frames and sends those before the first wrong one.
func (c *Conn) send(frames [][]byte, wait bool) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	var badErr error
	good := len(frames)
	for i, f := range frames {
		if badErr = c.check(f); badErr != nil {
			good = i
			break
		}
	}
	n, calls, err := c.link.Send(frames[:good], wait)
	c.tapSent(frames[:n])
	bytes := -n * c.headerLen()
	for _, f := range frames[:n] {
		bytes += len(f)
	}
	c.stats.sent(n, bytes, calls)
	return n, c.writeErr(err, badErr, len(frames)-n, wait)
}

// sendBuffers is send for frames in pieces.
func (c *Conn) sendBuffers(frames []net.Buffers) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	var badErr error
	good := len(frames)
	for i, f := range frames {
		if badErr = c.checkPieces(f); badErr != nil {
			good = i
			break
		}
	}
	n, calls, err := c.link.SendBuffers(frames[:good], true)
	c.tapPieces(frames[:n])
	bytes := -n * c.headerLen()
	for _, f := range frames[:n] {
		bytes += gso.Length(f)
	}
	c.stats.sent(n, bytes, calls)
	return n, c.writeErr(err, badErr, len(frames)-n, true)
}

func (c *Conn) checkSize(n int) error {
	if n < frame.HeaderLen || n > c.maxFrame {
		return fmt.Errorf("%d bytes: %w (%d to %d)", n, ErrFrameSize, frame.HeaderLen, c.maxFrame)
	}
	return nil
}

// writable returns why nothing can be written any more, or nil.
func (c *Conn) writable() error {
	if c.hungUp() {
		return c.endReason()
	}
	if c.isClosed() {
		return net.ErrClosed
	}
	return nil
}

// sent adds a batch that the link took.
func (s *counters) sent(frames, bytes, calls int) {
	s.txFrames.Add(uint64(frames))
	s.txBytes.Add(uint64(bytes))
	s.txCalls.Add(uint64(calls))
}

// writeErr counts and names the reason why a send stopped with left frames
// unsent: the link's error, else badErr. wait is whether the write may wait.
func (c *Conn) writeErr(err, badErr error, left int, wait bool) error {
	if err == nil {
		if badErr != nil {
			c.stats.txInvalid.Add(1)
		}
		return badErr
	}
	var errno syscall.Errno
	switch {
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	case errors.Is(err, link.ErrFull):
		c.stats.txFull.Add(uint64(left))
		return ErrFull
	case errors.Is(err, ErrDown):
		c.stats.txRefused.Add(uint64(left))
		return ErrDown
	case errors.Is(err, os.ErrDeadlineExceeded):
		if c.hungUp() {
			return c.endReason() // the hangup woke this write
		}
		return err
	case !errors.As(err, &errno):
		return err
	}
	switch errno {
	case syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ECONNRESET, syscall.EPIPE:
		// The peer's data socket is gone. It usually goes together with the
		// control socket, but not in the same moment: a process that dies
		// closes its descriptors one after the other.
		c.stats.txRefused.Add(1)
		if wait {
			c.awaitEnd()
		}
		switch {
		case c.hungUp() || c.isClosed():
			return fmt.Errorf("%w: %w", c.endReason(), err)
		case c.link.Gone():
			return fmt.Errorf("%w: %w", ErrHangup, err)
		}
	case syscall.ENOBUFS, syscall.ENOMEM:
		c.stats.txNoBuffer.Add(1)
	case syscall.EMSGSIZE:
		c.stats.txInvalid.Add(1)
		return fmt.Errorf("%w: the socket takes no frame of this size or in so many pieces (see WithWriteBuffer): %w", ErrFrameSize, err)
	}
	return err
}

// endGrace is how long writes that find the data socket gone wait for the
// control socket to follow, counted from the first of them.
const endGrace = 100 * time.Millisecond

// awaitEnd gives the connection a moment to end.
func (c *Conn) awaitEnd() {
	now := time.Now()
	c.refusedAt.CompareAndSwap(nil, &now)
	timer := time.NewTimer(endGrace - now.Sub(*c.refusedAt.Load()))
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-c.closing:
	case <-timer.C:
	}
}
