// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// netPair makes connections joined by a hub that waits.
func netPair(tb testing.TB) (*testutil.Pair, error) {
	s := testutil.FakeHub(tb)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	a, err := vde.Open(ctx, s.VNL())
	if err != nil {
		return nil, err
	}
	b, err := vde.Open(ctx, s.VNL())
	if err != nil {
		a.Close()
		return nil, err
	}
	return &testutil.Pair{A: a, B: b, Stop: s.Stop}, nil
}

// cablePair makes connections whose data sockets are each other's peers.
func cablePair(tb testing.TB) (*testutil.Pair, error) {
	s := testutil.FakePointToPoint(tb)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	type opened struct {
		c   *vde.Conn
		err error
	}
	other := make(chan opened, 1)
	go func() {
		c, err := vde.Open(ctx, s.VNL())
		other <- opened{c, err}
	}()
	a, err := vde.Open(ctx, s.VNL())
	b := <-other
	if err := errors.Join(err, b.err); err != nil {
		for _, c := range []*vde.Conn{a, b.c} {
			if c != nil {
				c.Close()
			}
		}
		return nil, err
	}
	return &testutil.Pair{A: a, B: b.c, Stop: s.Stop, Hangup: s.HangupAll}, nil
}

func TestConformanceThroughFakeNet(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, netPair, testutil.ConnOptions{Allocs: true})
}

func TestConformanceThroughFakeCable(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, cablePair, testutil.ConnOptions{Allocs: true})
}

// The options for networks that can do less must not ask for more.
func TestConformanceLossy(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		s := testutil.FakeHub(tb)
		a, err := vde.Open(tb.Context(), s.VNL(), vde.WithMaxFrameSize(1514))
		if err != nil {
			return nil, err
		}
		b, err := vde.Open(tb.Context(), s.VNL(), vde.WithMaxFrameSize(1514))
		if err != nil {
			a.Close()
			return nil, err
		}
		return &testutil.Pair{A: onlyPacketConn{a}, B: b, Stop: s.Stop}, nil
	}, testutil.ConnOptions{Lossy: true, MaxFrame: 1514, MinFrame: 60})
}

// A real switch drops at full queues, and cuts frames at 1518 bytes.
func TestConformanceThroughStockSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		// A switch for each pair, because it can lose track of ports that close
		// while others open.
		s := testpeers.StartSwitch(tb, testpeers.SwitchConfig{})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		a, err := vde.Open(ctx, s.VNL(), vde.WithMaxFrameSize(1518))
		if err != nil {
			return nil, err
		}
		b, err := vde.Open(ctx, s.VNL(), vde.WithMaxFrameSize(1518))
		if err != nil {
			a.Close()
			return nil, err
		}
		return &testutil.Pair{A: a, B: b, Stop: s.Stop}, nil
	}, testutil.ConnOptions{Lossy: true, MaxFrame: 1518, MinFrame: 60})
}

// onlyPacketConn hides what a connection can do beyond net.PacketConn.
type onlyPacketConn struct{ net.PacketConn }

// A faultRecorder is a testing.TB whose failure is not the test's own.
type faultRecorder struct {
	testing.TB
	mu     sync.Mutex
	failed bool
	log    strings.Builder
}

func (r *faultRecorder) Helper() {}

func (r *faultRecorder) Log(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintln(&r.log, args...)
}

func (r *faultRecorder) Logf(format string, args ...any) { r.Log(fmt.Sprintf(format, args...)) }

func (r *faultRecorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *faultRecorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *faultRecorder) FailNow()                          { r.Fail(); runtime.Goexit() }
func (r *faultRecorder) Error(args ...any)                 { r.Log(args...); r.Fail() }
func (r *faultRecorder) Errorf(format string, args ...any) { r.Logf(format, args...); r.Fail() }
func (r *faultRecorder) Fatal(args ...any)                 { r.Log(args...); r.FailNow() }
func (r *faultRecorder) Fatalf(format string, args ...any) { r.Logf(format, args...); r.FailNow() }

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

// A suite that nothing fails proves nothing.
func TestConformanceDetects(t *testing.T) {
	type fault struct {
		name             string
		promise, variant string
		wrap             func(t *testing.T, c *vde.Conn) net.PacketConn
	}
	faults := []fault{
		{"dropped frame", "FramesLeaveUnchangedInOrder", "Write", func(_ *testing.T, c *vde.Conn) net.PacketConn { return drops{c} }},
		{"frame sent twice", "FramesLeaveUnchangedInOrder", "Write", func(_ *testing.T, c *vde.Conn) net.PacketConn { return repeats{c} }},
		{"buffer kept", "WriteLeavesBufferAlone", "Write", func(_ *testing.T, c *vde.Conn) net.PacketConn { return retains{c} }},
		{"buffer modified", "WriteLeavesBufferAlone", "Write", func(_ *testing.T, c *vde.Conn) net.PacketConn { return scribbles{c} }},
		{"silent truncation", "ShortBuffer", "Read", func(_ *testing.T, c *vde.Conn) net.PacketConn { return truncates{c} }},
		{"written beyond the length", "ReadKeepsWithinLength", "Read", func(_ *testing.T, c *vde.Conn) net.PacketConn { return growsBuffers{c} }},
		{"any size accepted", "WrongSizesAreRefused", "Write", func(_ *testing.T, c *vde.Conn) net.PacketConn { return takesAny{c} }},
		{"past deadline ignored", "PastReadDeadline", "Read", func(_ *testing.T, c *vde.Conn) net.PacketConn { return noDeadlines{c} }},
		{"pending deadline ignored", "ReadDeadlineAppliesToPendingCall", "ReadBatch", func(_ *testing.T, c *vde.Conn) net.PacketConn { return noDeadlines{c} }},
		{"early deadline", "FutureReadDeadline", "ReadFrom", func(_ *testing.T, c *vde.Conn) net.PacketConn { return earlyDeadlines{c} }},
		{"bare error", "ReadsAfterClose", "Read", func(_ *testing.T, c *vde.Conn) net.PacketConn { return bareErrors{c} }},
		{"wrong error", "CloseUnblocksReads", "Read", func(_ *testing.T, c *vde.Conn) net.PacketConn { return wrongErrors{c} }},
		{"read not unblocked", "CloseUnblocksReads", "Read", func(t *testing.T, c *vde.Conn) net.PacketConn { return deafToClose{c, t.Context()} }},
		{"second Close fails", "SecondCloseReturnsNil", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return closesOnce{c, new(bool)} }},
		{"wrong source", "ReadFromReturnsSource", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return anySource{c} }},
		{"destination not checked", "WriteToChecksDestination", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return anyDst{c} }},
		{"batch out of order", "WriteBatchSendsInOrder", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return reorders{c} }},
		{"wrong count", "WriteBatchCountIsExact", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return miscounts{c} }},
		{"error beside frames", "ReadBatchFillsFromTheFront", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return silentBatch{c} }},
		{"buffers consumed", "WriteBuffersGathers", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return eatsBuffers{c} }},
		{"try that waits", "TryWriteBatchNeverWaits", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return tryWaits{c} }},
		{"drops not counted", "TryWriteBatchNeverWaits", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return uncounted{c} }},
		{"wrong total", "StatsAddUp", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return uncounted{c} }},
		{"another channel", "FramesDelivers", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return newChannel{c} }},
		{"no cause", "ContextEndsAtClose", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return noCause{c} }},
		{"read sleeps through hangup", "HangupReleasesReaders", "Read", func(t *testing.T, c *vde.Conn) net.PacketConn { return deafToEnd{c, t.Context()} }},
	}
	if !testutil.ConformanceRace {
		faults = append(faults, fault{"allocation", "NoAllocations", "", func(_ *testing.T, c *vde.Conn) net.PacketConn { return allocates{c} }})
	}
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			mp := func(testing.TB) (*testutil.Pair, error) {
				p, err := cablePair(t)
				if err == nil {
					p.A, p.B = tt.wrap(t, p.A.(*vde.Conn)), tt.wrap(t, p.B.(*vde.Conn))
				}
				return p, err
			}
			r := &faultRecorder{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				testutil.CheckPromise(t, r, tt.promise, tt.variant, mp, testutil.ConnOptions{Timeout: 2 * time.Second, Allocs: true})
			}()
			<-done
			text := r.log.String()
			if !r.Failed() {
				t.Errorf("not detected by %s; its log:\n%s", tt.promise, text)
			}
			if hung := strings.Contains(text, "all goroutines"); hung {
				text = text[:strings.Index(text, "\n")] + " …"
			}
			t.Logf("%s", text)

			// The promise must be kept by what is not broken.
			r = &faultRecorder{TB: t}
			done = make(chan struct{})
			go func() {
				defer close(done)
				testutil.CheckPromise(t, r, tt.promise, tt.variant, func(testing.TB) (*testutil.Pair, error) { return cablePair(t) }, testutil.ConnOptions{Allocs: true})
			}()
			<-done
			if r.Failed() {
				t.Errorf("the sound connection fails too:\n%s", r.log.String())
			}
		})
	}
}

// The second end comes so late that the first has asked whether it was refused.
func TestFakeCableLate(t *testing.T) {
	testutil.NoLeaks(t)
	s := testutil.FakePointToPoint(t)
	type result struct {
		c   *vde.Conn
		err error
	}
	first := make(chan result, 1)
	go func() {
		c, err := vde.Open(context.Background(), s.VNL())
		first <- result{c, err}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := s.WaitRequests(ctx, 2); err != nil {
		t.Fatal(err)
	}
	b, err := vde.Open(ctx, s.VNL())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a := <-first
	if a.err != nil {
		t.Fatal(a.err)
	}
	a.c.Close()
}
