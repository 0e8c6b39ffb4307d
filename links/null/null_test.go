// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package null_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/null"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) link.Link {
	t.Helper()
	l, err := null.Driver{}.Open(t.Context(), vnl.Parse("null://"), link.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

var rx = link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)}

// TestSend sends every form of batch, and counts nothing as lost.
func TestSend(t *testing.T) {
	l := open(t)
	f := make([]byte, 60)
	for _, tx := range []link.Tx{
		{Frames: [][]byte{f, f}}, {Pieces: []net.Buffers{{f}, {f[:20], f[20:]}}},
		{Frames: [][]byte{f, f}, Headers: make([]frame.VNetHeader, 2), NoWait: true},
	} {
		if n, calls, err := l.Send(tx); n != 2 || calls != 1 || err != nil {
			t.Errorf("%d, %d, %v", n, calls, err)
		}
	}
	if n, calls, err := l.Send(link.Tx{}); n != 0 || calls != 0 || err != nil {
		t.Errorf("nothing: %d, %d, %v", n, calls, err)
	}
	if err := l.AwaitRoom(); err != nil {
		t.Error(err)
	}
	if l.Caps().Counters != nil {
		t.Error("a null link has lost something")
	}
	if err := l.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Error(err)
	}
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %d, %v", n, err)
	}
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}, NoWait: true}); n != 1 || err != nil {
		t.Errorf("past the deadline, without waiting: %d, %v", n, err)
	}
	if err := l.AwaitRoom(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// TestRecv waits for nothing: until a deadline, a deadline moved meanwhile, Close.
func TestRecv(t *testing.T) {
	l := open(t)
	noWait := rx
	noWait.NoWait = true
	if n, err := l.Recv(noWait); n != 0 || err != link.ErrEmpty {
		t.Errorf("%d, %v", n, err)
	}
	waiting := func() <-chan error {
		c := make(chan error, 1)
		go func() {
			_, err := l.Recv(rx)
			c <- err
		}()
		return c
	}
	c := waiting()
	_ = l.SetReadDeadline(time.Now().Add(time.Hour))
	_ = l.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := <-c; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	_ = l.SetReadDeadline(time.Time{})
	c = waiting()
	if n, err := l.Close(); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := <-c; err != net.ErrClosed {
		t.Error(err)
	}
	for call, err := range map[string]error{
		"Recv":             func() error { _, err := l.Recv(rx); return err }(),
		"Send":             func() error { _, _, err := l.Send(link.Tx{}); return err }(),
		"AwaitRoom":        l.AwaitRoom(),
		"SetReadDeadline":  l.SetReadDeadline(time.Time{}),
		"SetWriteDeadline": l.SetWriteDeadline(time.Time{}),
	} {
		if err != net.ErrClosed {
			t.Errorf("%s after Close: %v", call, err)
		}
	}
	if n, err := l.Close(); n != 0 || err != nil || l.Err() != nil {
		t.Errorf("second Close: %d, %v", n, err)
	}
}

// TestNoAllocations sends without allocating.
func TestNoAllocations(t *testing.T) {
	l := open(t)
	frames := [][]byte{make([]byte, 60), make([]byte, 1514)}
	if n := testing.AllocsPerRun(100, func() { _, _, _ = l.Send(link.Tx{Frames: frames}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestAgainstVdePlug does what vde_plug does at null://: it takes every frame, says
// nothing and stays until it is told to go.
func TestAgainstVdePlug(t *testing.T) {
	p := testpeers.StartVdePlug(t, "null://")
	c, err := vde.Open(t.Context(), "null://")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	for range 100 {
		if err := p.Send(f); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f, err := p.Recv(ctx); err == nil {
		t.Errorf("vde_plug received % x", f)
	}
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
	if s := c.Stats(); s.TxFrames != 100 {
		t.Errorf("%+v", s)
	}
}

// A program can be told to join a network that leads nowhere.
func Example() {
	c, err := vde.Open(context.Background(), "null://")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	n, err := c.Write(make([]byte, 60))
	fmt.Println(n, err)
	// Output: 60 <nil>
}
