// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestFramesPool(t *testing.T) {
	p := pool.New(200, 32)
	testutil.NoLive(t, "buffers", func() int64 { return p.Stats().Live })
	c, client := conntest.Join(t, vde.WithFrames(p, 3))
	ch := c.Frames()
	if cap(ch) != 3 {
		t.Errorf("the channel holds %d", cap(ch))
	}
	for i := range 50 {
		// Longer than the pool's buffers, nothing, and no frame.
		if err := errors.Join(client.Send(conntest.Frame(201, 0)), client.Send(nil), client.Send([]byte("runt"))); err != nil {
			t.Fatal(err)
		}
		if err := client.Send(conntest.Frame(200, i)); err != nil {
			t.Fatal(err)
		}
		f := conntest.Await(t, "a frame", ch)
		if v := f.View(); conntest.Seq(v) != i || len(v) != 200 || v.Src() != (frame.MAC{2, 0, 0, 0, 0, 1}) || f.Headroom() != 32 {
			t.Errorf("frame %d of %d bytes with headroom %d", conntest.Seq(v), len(v), f.Headroom())
		}
		// The buffer is ours: it can be passed on and outlive the connection.
		f.Retain()
		f.Release()
		defer f.Release()
	}
	c.Close()
	want := vde.Stats{RxFrames: 50, RxBytes: 10_000, RxTruncated: 50, RxEmpty: 50, RxRunts: 50}
	s := c.Stats()
	want.RxCalls = s.RxCalls
	if s != want {
		t.Errorf("counted %+v, want %+v", s, want)
	}
}

// A connection that never takes frames by Frames leaves the pool alone.
func TestFramesDefaults(t *testing.T) {
	c, client := conntest.Join(t, vde.WithMaxFrameSize(2000))
	ch := c.Frames()
	if cap(ch) != 256 {
		t.Errorf("the channel holds %d, documented are 256", cap(ch))
	}
	if err := client.Send(conntest.Frame(2000, 1)); err != nil {
		t.Fatal(err)
	}
	f := conntest.Await(t, "a frame", ch)
	if len(f.View()) != 2000 {
		t.Errorf("%d bytes", len(f.View()))
	}
	f.Release()
}

func TestFramesAndDeadlines(t *testing.T) {
	c, client := conntest.Join(t)
	past := time.Unix(1, 0)
	if err := c.SetReadDeadline(past); err != nil { // before
		t.Fatal(err)
	}
	ch := c.Frames()
	for i, set := range []func(time.Time) error{func(time.Time) error { return nil }, c.SetReadDeadline, c.SetDeadline} {
		if err := set(past); err != nil {
			t.Fatal(err)
		}
		conntest.Send(t, client, i)
		f := conntest.Await(t, "a frame", ch)
		if conntest.Seq(f.Bytes()) != i {
			t.Errorf("frame %d, want %d", conntest.Seq(f.Bytes()), i)
		}
		f.Release()
	}
	// The other direction has its deadline all the same.
	fill(t, c)
	if _, err := c.Write(conntest.Frame(60, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	c.Close()
	if err := c.SetReadDeadline(past); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A read that waits when Frames is called is told so; so are those behind it.
func TestFramesWhileReading(t *testing.T) {
	testutil.NoLeaks(t)
	for range 50 {
		c, client := conntest.Join(t)
		errs := make(chan error, 4)
		for i := range cap(errs) {
			go func() {
				var err error
				if i%2 == 0 {
					_, err = c.Read(make([]byte, 100))
				} else {
					_, err = c.ReadBatch([][]byte{make([]byte, 100)})
				}
				errs <- err
			}()
		}
		ch := c.Frames()
		for range cap(errs) {
			if err := conntest.Await(t, "a read", errs); !errors.Is(err, vde.ErrBusy) {
				t.Errorf("read: %v", err)
			}
		}
		conntest.Send(t, client, 1)
		f := conntest.Await(t, "a frame", ch)
		f.Release()
		if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrBusy) {
			t.Errorf("a later read: %v", err)
		}
		c.Close()
	}
}
