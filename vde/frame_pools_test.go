// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"context"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestFramePools checks that the statistics of the pool that a connection uses by
// default can be read, before and after Frames and Close.
func TestFramePools(t *testing.T) {
	l, peer := linktest.Pipe(10)
	c, err := vde.NewConn(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	defer peer.Close()
	pools := c.FramePools()
	if len(pools) != 1 || pools[0].Stats() != (pool.Stats{}) {
		t.Fatalf("pools: %v", pools)
	}
	p := pools[0]
	testutil.NoLiveBuffers(t, "frames", c.FramePools()...)
	ch := c.Frames()
	if _, _, err := peer.Send(link.Tx{Frames: [][]byte{conntest.Frame(60, 1), conntest.Frame(60, 2)}}); err != nil {
		t.Fatal(err)
	}
	if s := c.FrameOwner(); (s == "") == pool.LeakMode {
		t.Errorf("the owner is %q", s)
	}
	one, two := <-ch, <-ch
	c.Close()
	if s := p.Stats(); s.Live != 2 || s.Gets < 2 {
		t.Errorf("two frames are not released: %+v", s)
	}
	one.Release()
	two.Release()
	if s := p.Stats(); s.Live != 0 || s.Releases != s.Gets || s.Allocs == 0 {
		t.Errorf("all frames are released: %+v", s)
	}
	if again := c.FramePools(); len(again) != 1 || again[0] != p {
		t.Errorf("pools after Close: %v, were %v", again, pools)
	}
}

// TestFramePoolsGiven checks that FramePools returns the pool of WithFrames.
func TestFramePoolsGiven(t *testing.T) {
	l, peer := linktest.Pipe(1)
	defer peer.Close()
	p := pool.New(100, 0)
	c, err := vde.NewConn(context.Background(), l, vde.WithFrames(p, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.FramePools(); len(got) != 1 || got[0] != p {
		t.Errorf("pools: %v, want the one that was given", got)
	}
}

// TestFramePoolsOfLink checks that FramePools returns the pools of a link that
// hands over buffers of its own.
func TestFramePoolsOfLink(t *testing.T) {
	for name, pools := range map[string][]*pool.Pool{"none": nil, "two": {pool.New(1, 0), pool.New(2, 0)}} {
		caps := link.Caps{Buffers: struct{ link.BufferReceiver }{}}
		if pools != nil {
			caps.Pools = func() []*pool.Pool { return pools }
		}
		l, peer := linktest.Pipe(1)
		c, err := vde.NewConn(context.Background(), capable{l, caps}, vde.WithFrames(pool.New(100, 0), 0))
		if err != nil {
			t.Fatal(err)
		}
		got := c.FramePools()
		if len(got) != len(pools) {
			t.Errorf("%s: %v, want %v", name, got, pools)
		}
		for i := range got {
			if got[i] != pools[i] {
				t.Errorf("%s: %v, want %v", name, got, pools)
			}
		}
		c.Close()
		peer.Close()
	}
}

// A capable link has other capabilities.
type capable struct {
	link.Link
	caps link.Caps
}

// Caps implements link.Link.
func (l capable) Caps() link.Caps { return l.caps }
