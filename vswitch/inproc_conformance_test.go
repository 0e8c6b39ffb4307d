// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"net"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A unicastLink is a link whose frames go to one address, and come from its user
// with the broadcast address and are received with it: only frames for a single
// port wait for room there.
type unicastLink struct {
	link.Link
	to frame.MAC
}

// Send implements link.Link.
func (l unicastLink) Send(t link.Tx) (n, calls int, err error) {
	for i, f := range t.Frames {
		if i == 0 {
			t.Frames = slices.Clone(t.Frames)
		}
		t.Frames[i] = l.address(f)
	}
	for i, p := range t.Pieces {
		if i == 0 {
			t.Pieces = slices.Clone(t.Pieces)
		}
		f := l.address(slices.Concat(p...))
		t.Pieces[i] = net.Buffers{nil, f[:frame.HeaderLen], nil, f[frame.HeaderLen:]}
	}
	return l.Link.Send(t)
}

// address returns f with the address that it is to go to.
func (l unicastLink) address(f []byte) []byte {
	f = slices.Clone(f)
	copy(f, l.to[:])
	return f
}

// Recv implements link.Link.
func (l unicastLink) Recv(r link.Rx) (n int, err error) {
	n, err = l.Link.Recv(r)
	all := frame.Broadcast()
	for i := range r.Bufs[:n] {
		copy(r.Bufs[i][:min(len(r.Bufs[i]), r.Sizes[i])], all[:])
	}
	return n, err
}

// TestInProcessLink holds the links of two in-process ports to the promises of
// package link.
func TestInProcessLink(t *testing.T) {
	macs := []frame.MAC{{2, 0, 0, 0, 0, 0xa}, {2, 0, 0, 0, 0, 0xb}}
	for name, queue := range map[string]int{"long queue": 0, "short queue": 8} {
		t.Run(name, func(t *testing.T) {
			linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
				ports := make(map[int]vswitch.PortConfig)
				for i, mac := range macs {
					ports[i+1] = vswitch.PortConfig{Wait: vswitch.Forever, Queue: queue, Static: []vswitch.StaticEntry{{MAC: mac}}}
				}
				sw := vswitch.New(vswitch.Config{Ports: ports})
				tb.Cleanup(func() {
					sw.Close()
					if n := vswitch.Live(sw); n != 0 {
						tb.Errorf("%d buffers are still in use", n)
					}
				})
				var links [2]link.Link
				for i := range links {
					c, err := sw.Attach(vde.WithPort(i + 1))
					if err != nil {
						return nil, nil, err
					}
					tb.Cleanup(func() { c.Close() })
					links[i] = unicastLink{vswitch.LinkOf(sw, c), macs[1-i]}
				}
				return links[0], links[1], nil
			}, linktest.Options{NoHangup: true}) // a port does not learn that another one has gone
		})
	}
}
