// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// The rings of all clients together have a bound. A client beyond it has a port all
// the same, and memory that was given back is there for others.
func TestSharedMemoryBudget(t *testing.T) {
	testutil.NoLeaks(t)
	const ring = 2<<20 + 4096 // of a client with frames of up to 128 KiB
	sw := vswitch.New(vswitch.Config{MaxSharedMemory: 8 * ring})
	dir := serve(t, sw)
	defer sw.Close()
	large := func() *vde.Conn { return open(t, dir, vde.WithMaxFrameSize(128<<10)) }
	kinds := func() (rings, sockets int) {
		for _, p := range sw.Ports() {
			for _, e := range p.Endpoints {
				if e.Kind == vswitch.KindSharedMemory {
					rings++
				} else {
					sockets++
				}
			}
		}
		return rings, sockets
	}
	var conns []*vde.Conn
	for range 20 {
		conns = append(conns, large())
	}
	// 8, 7, 6, 5, and 4 rings are left when one more asks.
	rings, sockets := kinds()
	if rings != 5 || sockets != 15 {
		t.Errorf("%d clients have rings, %d sockets; want 5 and 15", rings, sockets)
	}
	if s := sw.Stats().Serve; s.RingsOverBudget != 15 || s.RingsRejected != 0 || s.Joined != 20 {
		t.Errorf("%+v", s)
	}
	small := open(t, dir)
	if !small.Caps().SharedMemory {
		t.Error("a client of the usual frame size got no rings, of 1 MiB, beside those with large ones")
	}
	conns = append(conns, small)
	for _, c := range conns {
		c.Close()
	}
	until(t, "memory given back", func() bool { return vswitch.SharedMemoryUsed(sw) == 0 })
	if !large().Caps().SharedMemory {
		t.Error("no rings although all were given back")
	}
}
