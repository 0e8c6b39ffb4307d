// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// Write sends one frame, header included. It waits while the peer's queue is
// full, until the write deadline or Close. p is lent for the call and not
// modified.
//
// A frame shorter than a header or longer than the maximum size is refused with
// an error that matches [ErrFrameSize].
func (c *Conn) Write(p []byte) (n int, err error) {
	c.tx.mu.Lock()
	c.tx.one[0] = p
	sent, err := c.send(link.Tx{Frames: c.tx.one[:]})
	c.tx.one[0] = nil
	c.tx.mu.Unlock()
	if sent == 1 {
		n = len(p)
	}
	return n, c.opError("write", err)
}

// WriteTo is Write that also checks dst, which must be nil or an [Addr] equal to
// the frame's destination, or any other address whose text is that of the same MAC
// address, as other packages have them: p is never rewritten.
func (c *Conn) WriteTo(p []byte, dst net.Addr) (n int, err error) {
	if dst != nil && len(p) >= frame.HeaderLen {
		mac, err := macOf(dst)
		if to := frame.Frame(p).Dst(); err == nil && mac != to {
			err = fmt.Errorf("frame is for %v: %w", to, errDestination)
		}
		if err != nil {
			c.stats.txInvalid.Add(1)
			return 0, c.opErrorTo("write", dst, err)
		}
	}
	return c.Write(p)
}

// WriteBatch sends frames in order, waiting while the peer's queue is full. If
// n < len(frames), err is why frames[n] was not sent; the caller may go on with
// frames[n+1:]. Frames are lent for the call and not modified.
func (c *Conn) WriteBatch(frames [][]byte) (n int, err error) {
	n, err = c.send(link.Tx{Frames: frames})
	return n, c.opError("write", err)
}

// TryWriteBatch is WriteBatch that never waits, whatever the write deadline: it
// sends what the queue takes. If n < len(frames) because the queue is full, err
// matches [ErrFull] and the frames not sent are counted in Stats.TxFull.
func (c *Conn) TryWriteBatch(frames [][]byte) (n int, err error) {
	n, err = c.send(link.Tx{Frames: frames, NoWait: true})
	return n, c.opError("write", err)
}

// WriteBuffers is WriteBatch with each frame given in pieces, which are
// gathered on the way out without a copy in this package. At most 1024 pieces
// make a frame. Neither the slices nor the bytes are modified.
func (c *Conn) WriteBuffers(frames []net.Buffers) (n int, err error) {
	n, err = c.send(link.Tx{Pieces: frames})
	return n, c.opError("write", err)
}

// send checks the frames and sends those before the first wrong one.
func (c *Conn) send(t link.Tx) (int, error) {
	if err := c.writable(); err != nil {
		return 0, err
	}
	all := t.Len()
	good, badErr := c.check(&t)
	if badErr != nil {
		t = firstOf(t, good)
	}
	n, calls, err := c.sendLink(t)
	bytes := 0
	for i := range n {
		bytes += t.Size(i)
	}
	c.hookSent(&t, n)
	c.stats.sent(n, bytes, calls)
	return n, c.writeErr(err, badErr, all-n)
}

// firstOf returns the first n frames of t.
func firstOf(t link.Tx, n int) link.Tx {
	if t.Pieces == nil {
		t.Frames = t.Frames[:n]
	} else {
		t.Pieces = t.Pieces[:n]
	}
	if t.Headers != nil {
		t.Headers = t.Headers[:n]
	}
	return t
}

// check returns how many frames of t can be sent before the first that cannot,
// and why that one cannot.
func (c *Conn) check(t *link.Tx) (good int, err error) {
	for i := range t.Len() {
		if t.Headers != nil {
			err = c.checkPacket(t, i)
		} else {
			err = c.checkSize(t.Size(i))
		}
		if err != nil {
			return i, err
		}
	}
	return t.Len(), nil
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
// unsent: the link's error, else badErr.
func (c *Conn) writeErr(err, badErr error, left int) error {
	if err == nil {
		if badErr != nil {
			c.stats.txInvalid.Add(1)
		}
		return badErr
	}
	var errno syscall.Errno
	switch errors.As(err, &errno); {
	case errors.Is(err, link.ErrFull):
		c.stats.txFull.Add(uint64(left))
		return ErrFull
	case errors.Is(err, link.ErrDown):
		c.stats.txRefused.Add(uint64(left))
	case errno == syscall.ECONNREFUSED || errno == syscall.ENOTCONN || errno == syscall.ECONNRESET || errno == syscall.EPIPE:
		c.stats.txRefused.Add(1)
	case errno == syscall.ENOBUFS || errno == syscall.ENOMEM:
		c.stats.txNoBuffer.Add(1)
	case errno == syscall.EMSGSIZE:
		c.stats.txInvalid.Add(1)
		return fmt.Errorf("%w: the socket takes no frame of this size or in so many pieces; a larger write buffer may help: %w", ErrFrameSize, err)
	}
	if c.isClosed() && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("%w: %w", net.ErrClosed, err)
	}
	return err
}
