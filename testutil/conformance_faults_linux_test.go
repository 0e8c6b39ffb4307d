// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// Each of these breaks one promise and keeps the others.
type (
	drops          struct{ *vde.Conn }
	repeats        struct{ *vde.Conn }
	retains        struct{ *vde.Conn }
	scribbles      struct{ *vde.Conn }
	truncates      struct{ *vde.Conn }
	growsBuffers   struct{ *vde.Conn }
	noDeadlines    struct{ *vde.Conn }
	earlyDeadlines struct{ *vde.Conn }
	bareErrors     struct{ *vde.Conn }
	wrongErrors    struct{ *vde.Conn }
	closesOnce     struct {
		*vde.Conn
		closed *bool
	}
	deafToClose struct {
		*vde.Conn
		rouse context.Context
	}
	anySource   struct{ *vde.Conn }
	anyDst      struct{ *vde.Conn }
	reorders    struct{ *vde.Conn }
	miscounts   struct{ *vde.Conn }
	eatsBuffers struct{ *vde.Conn }
	tryWaits    struct{ *vde.Conn }
	uncounted   struct{ *vde.Conn }
	newChannel  struct{ *vde.Conn }
	noCause     struct{ *vde.Conn }
	allocates   struct{ *vde.Conn }
	deafToEnd   struct {
		*vde.Conn
		rouse context.Context
	}
	takesAny    struct{ *vde.Conn }
	silentBatch struct{ *vde.Conn }
)

var sink []byte

func (c drops) Write(p []byte) (int, error) {
	if len(p)%3 == 0 {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c repeats) Write(p []byte) (int, error) {
	c.Conn.Write(p)
	return c.Conn.Write(p)
}

func (c retains) Write(p []byte) (int, error) {
	time.AfterFunc(10*time.Millisecond, func() { c.Conn.Write(p) }) // late enough for p to be used again
	return len(p), nil
}

func (c scribbles) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if len(p) > 20 {
		//lint:ignore SA1023 this is the fault that the suite has to find
		p[20] ^= 1
	}
	return n, err
}

func (c truncates) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.ErrShortBuffer) {
		err = nil
	}
	return n, err
}

func (c growsBuffers) Read(p []byte) (int, error) { return c.Conn.Read(p[:cap(p)]) }

func (c noDeadlines) SetReadDeadline(time.Time) error { return nil }

func (c earlyDeadlines) SetReadDeadline(t time.Time) error {
	if !t.IsZero() {
		t = t.Add(-30 * time.Millisecond)
	}
	return c.Conn.SetReadDeadline(t)
}

func (c bareErrors) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if op, ok := err.(*net.OpError); ok {
		err = op.Err
	}
	return n, err
}

func (c wrongErrors) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = &net.OpError{Op: "read", Net: "vde", Source: c.LocalAddr(), Err: os.ErrClosed}
	}
	return n, err
}

func (c closesOnce) Close() error {
	if *c.closed {
		return net.ErrClosed
	}
	*c.closed = true
	return c.Conn.Close()
}

func (c deafToClose) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, net.ErrClosed) {
		<-c.rouse.Done() // long after the watchdog
	}
	return n, err
}

func (c anySource) ReadFrom(p []byte) (int, net.Addr, error) {
	n, _, err := c.Conn.ReadFrom(p)
	return n, vde.Addr{}, err
}

func (c anyDst) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Conn.WriteTo(p, nil) }

func (c reorders) WriteBatch(frames [][]byte) (int, error) {
	frames = slices.Clone(frames)
	slices.Reverse(frames)
	return c.Conn.WriteBatch(frames)
}

func (c miscounts) WriteBatch(frames [][]byte) (int, error) {
	n, err := c.Conn.WriteBatch(frames)
	return max(n-1, 0), err
}

func (c eatsBuffers) WriteBuffers(frames []net.Buffers) (int, error) {
	n, err := c.Conn.WriteBuffers(frames)
	for i := range frames {
		frames[i] = frames[i][1:]
	}
	return n, err
}

func (c tryWaits) TryWriteBatch(frames [][]byte) (int, error) { return c.Conn.WriteBatch(frames) }

func (c uncounted) Stats() vde.Stats {
	s := c.Conn.Stats()
	s.TxFrames, s.TxFull = s.TxFrames/2, 0
	return s
}

func (c newChannel) Frames() <-chan vde.Frame {
	ch := make(chan vde.Frame)
	go func() {
		defer close(ch)
		for f := range c.Conn.Frames() {
			ch <- f
		}
	}()
	return ch
}

func (c noCause) Context() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(c.Conn.Context(), cancel)
	return ctx
}

func (c allocates) Write(p []byte) (int, error) {
	sink = bytes.Clone(p)
	return c.Conn.Write(p)
}

func (c deafToEnd) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, vde.ErrHangup) {
		<-c.rouse.Done()
	}
	return n, err
}

func (c takesAny) Write(p []byte) (int, error) {
	if len(p) < 14 {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c silentBatch) ReadBatch(bufs [][]byte) (int, error) {
	n, err := c.Conn.ReadBatch(bufs)
	if n > 0 {
		err = io.EOF
	}
	return n, err
}

// A fault is a way to break a promise.
type fault struct {
	name             string
	promise, variant string
	hangs            bool // only the watchdog of the suite can find it
	wrap             func(t *testing.T, c *vde.Conn) net.PacketConn
}

var faults = []fault{
	{"dropped frame", "FramesLeaveUnchangedInOrder", "Write", true, func(_ *testing.T, c *vde.Conn) net.PacketConn { return drops{c} }},
	{"frame sent twice", "FramesLeaveUnchangedInOrder", "Write", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return repeats{c} }},
	{"buffer kept", "WriteLeavesBufferAlone", "Write", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return retains{c} }},
	{"buffer modified", "WriteLeavesBufferAlone", "Write", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return scribbles{c} }},
	{"silent truncation", "ShortBuffer", "Read", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return truncates{c} }},
	{"written beyond the length", "ReadKeepsWithinLength", "Read", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return growsBuffers{c} }},
	{"any size accepted", "WrongSizesAreRefused", "Write", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return takesAny{c} }},
	{"past deadline ignored", "PastReadDeadline", "Read", true, func(_ *testing.T, c *vde.Conn) net.PacketConn { return noDeadlines{c} }},
	{"pending deadline ignored", "ReadDeadlineAppliesToPendingCall", "ReadBatch", true, func(_ *testing.T, c *vde.Conn) net.PacketConn { return noDeadlines{c} }},
	{"early deadline", "FutureReadDeadline", "ReadFrom", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return earlyDeadlines{c} }},
	{"bare error", "ReadsAfterClose", "Read", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return bareErrors{c} }},
	{"wrong error", "CloseUnblocksReads", "Read", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return wrongErrors{c} }},
	{"read not unblocked", "CloseUnblocksReads", "Read", true, func(t *testing.T, c *vde.Conn) net.PacketConn { return deafToClose{c, t.Context()} }},
	{"second Close fails", "SecondCloseReturnsNil", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return closesOnce{c, new(bool)} }},
	{"wrong source", "ReadFromReturnsSource", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return anySource{c} }},
	{"destination not checked", "WriteToChecksDestination", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return anyDst{c} }},
	{"batch out of order", "WriteBatchSendsInOrder", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return reorders{c} }},
	{"wrong count", "WriteBatchCountIsExact", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return miscounts{c} }},
	{"error beside frames", "ReadBatchFillsFromTheFront", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return silentBatch{c} }},
	{"buffers consumed", "WriteBuffersGathers", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return eatsBuffers{c} }},
	{"try that waits", "TryWriteBatchNeverWaits", "", true, func(_ *testing.T, c *vde.Conn) net.PacketConn { return tryWaits{c} }},
	{"drops not counted", "TryWriteBatchNeverWaits", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return uncounted{c} }},
	{"wrong total", "StatsAddUp", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return uncounted{c} }},
	{"another channel", "FramesDelivers", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return newChannel{c} }},
	{"no cause", "ContextEndsAtClose", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return noCause{c} }},
	{"read sleeps through hangup", "HangupReleasesReaders", "Read", true, func(t *testing.T, c *vde.Conn) net.PacketConn { return deafToEnd{c, t.Context()} }},
	{"allocation", "NoAllocations", "", false, func(_ *testing.T, c *vde.Conn) net.PacketConn { return allocates{c} }},
}

// A suite that nothing fails proves nothing.
func TestConformanceDetects(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if f.promise == "NoAllocations" && (testutil.ConformanceRace || pool.LeakMode) {
				t.Skip("the race detector and leak mode allocate")
			}
			testutil.NoLeaks(t)
			f.detected(t)
			f.keptWithout(t)
		})
	}
}

// detected checks that the suite finds the fault.
func (f *fault) detected(t *testing.T) {
	opts := testutil.ConnOptions{Allocs: true}
	if f.hangs {
		opts.Timeout = 200 * time.Millisecond
	}
	r := recordtb.Run(t, func(tb testing.TB) {
		testutil.CheckPromise(t, tb, f.promise, f.variant, func(testing.TB) (*testutil.Pair, error) {
			p, err := pointToPointPair(t)
			if err == nil {
				p.A, p.B = f.wrap(t, p.A.(*vde.Conn)), f.wrap(t, p.B.(*vde.Conn))
			}
			return p, err
		}, opts)
	})
	text, _, hung := strings.Cut(r.Text(), "all goroutines")
	if !r.Failed() || hung != f.hangs {
		t.Errorf("failed %v, hung %v, want a failure and hung %v; the log of %s:\n%s", r.Failed(), hung, f.hangs, f.promise, text)
	}
	t.Logf("%s", text)
}

// keptWithout checks that a connection without the fault keeps the promise.
func (f *fault) keptWithout(t *testing.T) {
	r := recordtb.Run(t, func(tb testing.TB) {
		testutil.CheckPromise(t, tb, f.promise, f.variant, func(testing.TB) (*testutil.Pair, error) { return pointToPointPair(t) }, testutil.ConnOptions{Allocs: true})
	})
	if r.Failed() {
		t.Errorf("a connection without the fault fails too:\n%s", r.Text())
	}
}
