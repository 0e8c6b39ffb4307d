// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux && poolleak

package vde_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

// TestFrameOwners checks that leak mode names the connection whose Frame was not
// released, and the place that called Frames.
func TestFrameOwners(t *testing.T) {
	p := pool.New(200, 0)
	var conns [2]*vde.Conn
	var kept [2]vde.Frame
	var want [2]string
	for i := range conns {
		c, client := conntest.Join(t, vde.WithFrames(p, 4))
		_, file, line, _ := runtime.Caller(0)
		ch := c.Frames() // the line after that
		want[i] = fmt.Sprintf("held by vde.Conn %q as a Frame, Frames called at %s:%d", c.LocalAddr(), file, line+1)
		conntest.Send(t, client, 1, 2, 3)
		conntest.Await(t, "a frame", ch).Release()
		kept[i] = conntest.Await(t, "a frame", ch)
		conntest.Await(t, "a frame", ch).Release()
		conns[i] = c
		if got := c.FrameOwner(); "held by "+got != want[i] {
			t.Errorf("the owner is %q, want that of %q", got, want[i])
		}
	}
	for i, c := range conns {
		wantLeak(t, p, want[i])
		c.Close()
	}
	if l := p.Leaks(); len(l) != 2 {
		t.Errorf("leaks: %q, want those of two frames", l)
	}
	for i, f := range kept {
		wantLeak(t, p, want[i])
		f.Release()
	}
	if l := p.Leaks(); len(l) != 0 {
		t.Errorf("everything was released, and there are leaks: %q", l)
	}
}

// TestReceivingOwners checks that leak mode names the connection of the buffers
// that wait for frames.
func TestReceivingOwners(t *testing.T) {
	l, peer := linktest.Pipe(1)
	defer peer.Close()
	receiving := receivingLink{l, make(chan int), make(chan struct{})}
	p := pool.New(200, 0)
	c, err := vde.NewConn(t.Context(), receiving, vde.WithName("a pipe"), vde.WithFrames(p, 0))
	if err != nil {
		t.Fatal(err)
	}
	c.Frames()
	if n := conntest.Await(t, "receive", receiving.begun); n != 1 {
		t.Errorf("%d buffers wait for a frame", n)
	}
	if l, want := p.Leaks(), `, held by vde.Conn "a pipe" on the link of a test to receive in`; len(l) != 1 || !strings.HasSuffix(l[0], want) {
		t.Errorf("leaks: %q, want one that ends in %q", l, want)
	}
	close(receiving.goOn)
	c.Close()
	if l := p.Leaks(); len(l) != 0 {
		t.Errorf("leaks: %q", l)
	}
}

// A receivingLink tells when it is asked for frames.
type receivingLink struct {
	link.Link
	begun chan int // of buffers that it is given
	goOn  chan struct{}
}

// Caps implements link.Link.
func (receivingLink) Caps() link.Caps {
	return link.Caps{Name: func() string { return "the link of a test" }}
}

// Recv implements link.Link.
func (l receivingLink) Recv(r link.Rx) (int, error) {
	select {
	case l.begun <- len(r.Bufs):
		<-l.goOn
	case <-l.goOn:
	}
	return l.Link.Recv(r)
}

// wantLeak checks that an entry of p's leaks ends in want.
func wantLeak(t *testing.T, p *pool.Pool, want string) {
	t.Helper()
	leaks := p.Leaks()
	for _, l := range leaks {
		if strings.HasSuffix(l, ", "+want) {
			return
		}
	}
	t.Errorf("leaks: %q, want one that ends in %q", slices.Compact(leaks), want)
}
