// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build poolleak

package vswitch_test

import (
	"regexp"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// leaksOf returns the leaks of all pools of sw.
func leaksOf(sw *vswitch.Switch) (all []string) {
	for _, p := range sw.Pools() {
		all = append(all, p.Leaks()...)
	}
	return all
}

// wantLeaks checks that the leaks of sw match these regular expressions, one each.
func wantLeaks(t *testing.T, sw *vswitch.Switch, want ...string) {
	t.Helper()
	got := leaksOf(sw)
	ok := len(got) == len(want)
	for i := 0; ok && i < len(got); i++ {
		ok = regexp.MustCompile(want[i] + "$").MatchString(got[i])
	}
	if !ok {
		t.Errorf("leaks %q, want %q", got, want)
	}
}

// ownedFrame is a broadcast frame that fits the smallest buffers.
func ownedFrame() []byte {
	f := conntest.Frame(60, 1)
	bc := frame.Broadcast()
	copy(f, bc[:])
	return f
}

// TestBufferOwners checks that leak mode names the ports in whose queues frames
// wait, and the connections whose Frames were not released.
func TestBufferOwners(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	testutil.NoLiveBuffers(t, "frames", sw.Pools()...)
	var conns []*vde.Conn
	for _, name := range []string{"sender", "a", "b"} {
		c, err := sw.Attach(vde.WithDescription(name))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := c.FramePools(); len(got) != len(sw.Pools()) || got[0] != sw.Pools()[0] {
			t.Errorf("pools of the connection: %v, of the switch: %v", got, sw.Pools())
		}
		conns = append(conns, c)
	}
	m, err := sw.Monitor(1, vde.WithDescription("m"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := conns[0].Write(ownedFrame()); err != nil {
		t.Fatal(err)
	}
	wantLeaks(t, sw, `held by the queue of monitor session 4 \("m.*"\), the queue of port 2 \("a.*"\), the queue of port 3 \("b.*"\)`)
	if _, err := m.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	wantLeaks(t, sw, `, held by the queue of port 2 \("a.*"\), the queue of port 3 \("b.*"\)`)
	a := conntest.Await(t, "a frame", conns[1].Frames())
	wantLeaks(t, sw, `, held by the queue of port 3 \("b.*"\), vde.Conn ".*" on port 2 \("a.*"\) as a Frame, Frames called at .*/buffer_owners_test.go:\d+`)
	b := conntest.Await(t, "a frame", conns[2].Frames())
	wantLeaks(t, sw, `, held by vde.Conn ".*" on port 2 \("a.*, vde.Conn ".*" on port 3 \("b.*`)
	a.Release()
	wantLeaks(t, sw, `, 1 reference held by some of vde.Conn ".*" on port 2 \("a.*, vde.Conn ".*" on port 3 \("b.*`)
	b.Release()

	if _, err := conns[0].Write(ownedFrame()); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 2} {
		f := conntest.Await(t, "a frame", conns[i].Frames())
		if i == 1 {
			f.Release()
			continue
		}
		defer f.Release()
	}
	m.Close()
	for _, c := range conns {
		c.Close()
	}
	sw.Close()
	if l := leaksOf(sw); len(l) != 1 || !regexp.MustCompile(`port 3 \("b`).MatchString(l[0]) {
		t.Errorf("leaks %q, want one that names port 3", l)
	}
}

// TestLinkBufferOwners checks that leak mode names the ports whose links receive,
// and those in whose queues frames wait.
func TestLinkBufferOwners(t *testing.T) {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: vswitch.HeadDrop, Queue: 4}})
	testutil.NoLiveBuffers(t, "frames", sw.Pools()...)
	defer sw.Close()
	l, peer := linktest.Pipe(1)
	defer peer.Close()
	receiving := receivingLink{l, make(chan struct{}, 100)}
	if _, err := sw.AttachLink(receiving, vswitch.LinkConfig{Description: "a link"}); err != nil {
		t.Fatal(err)
	}
	conntest.Await(t, "receive", receiving.begun)
	wantLeaks(t, sw, `, held by port 1 \("a link"\) to receive in`)
	c, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The pipe holds a copy of the first.
	for range 5 {
		if _, err := c.Write(ownedFrame()); err != nil {
			t.Fatal(err)
		}
	}
	queue := `, held by the queue of port 1 \("a link"\)`
	wantLeaks(t, sw, queue, queue, queue, queue, `, held by port 1 \("a link"\) to receive in`)
}

// A receivingLink tells when it is asked for frames.
type receivingLink struct {
	link.Link
	begun chan struct{}
}

// Recv implements link.Link.
func (l receivingLink) Recv(r link.Rx) (int, error) {
	select {
	case l.begun <- struct{}{}:
	default:
	}
	return l.Link.Recv(r)
}
