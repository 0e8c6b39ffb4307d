// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/udp"
	"github.com/go-vde/sdk/links/vxlan"
	"github.com/go-vde/sdk/links/vxvde"
	"github.com/go-vde/sdk/vnl"
)

var drivers = link.Mux{"udp": udp.Driver{}, "vxlan": vxlan.Driver{}, "vxvde": vxvde.Driver{}}

// open opens a locator in a network namespace.
func open(tb testing.TB, n *testpeers.Namespace, locator string) (l link.Link) {
	tb.Helper()
	err := n.Do(func() (err error) {
		l, err = drivers.Open(context.Background(), vnl.Parse(locator), link.Settings{})
		return err
	})
	if err != nil {
		tb.Fatalf("%s: %v", locator, err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// The addresses of the hosts in these tests.
var (
	goMAC = frame.MAC{2, 0, 0, 0, 0, 0xa}
	cMAC  = frame.MAC{2, 0, 0, 0, 0, 0xc}
)

// numbered returns a frame whose content is of its length and number.
func numbered(dst, src frame.MAC, number, size int) []byte {
	f := make([]byte, size)
	frame.PutHeader(f, dst, src, frame.EtherTypeExperimental)
	for i := frame.HeaderLen; i < size; i++ {
		f[i] = byte(number + i)
	}
	return f
}

// recv receives one frame of the test: kernels send frames of their own.
func recv(t *testing.T, l link.Link) []byte {
	t.Helper()
	buf, sizes := make([]byte, 1<<16), make([]int, 1)
	for {
		n, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes})
		if n != 1 || err != nil {
			t.Fatalf("Recv: %d, %v", n, err)
		}
		if f := frame.Frame(buf[:sizes[0]]); len(f) >= frame.HeaderLen && f.EtherType() == frame.EtherTypeExperimental {
			return f
		}
	}
}

func send(t *testing.T, l link.Link, frames ...[]byte) {
	t.Helper()
	if n, _, err := l.Send(link.Tx{Frames: frames}); n != len(frames) || err != nil {
		t.Fatalf("Send: %d of %d, %v", n, len(frames), err)
	}
}

func want(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes % x, want %d bytes % x", what, len(got), got[:min(24, len(got))], len(want), want[:min(24, len(want))])
	}
}

// A cNetwork is a kind of network that the C library opens too.
type cNetwork struct {
	name, ours, theirs string

	// shortest is the length of the shortest frame that the C library takes.
	shortest int

	// floods says that what the C library sends has to be for a group. Version
	// 4.0.1 cannot send to addresses that vxlan has learned.
	floods bool
}

var cNetworks = []cNetwork{
	{"udp", "udp://20001->" + testpeers.VethB4 + ":20002", "udp://20002->" + testpeers.VethA4 + ":20001", 14, false},
	{"udp/IPv6", "udp://[" + testpeers.VethA6 + "]:20001->[" + testpeers.VethB6 + "]:20002", "udp://" + testpeers.VethB6 + ":20002->" + testpeers.VethA6 + ":20001", 14, false},
	{"vxvde", "vxvde://", "vxvde://", 15, false},
	{"vxvde/IPv6", "vxvde:///v6", "vxvde:///v6", 15, false},
	{"vxvde/Group", "vxvde://239.7.0.0/grp=1000/port=5000/ttl=3", "vxvde://239.7.0.0/grp=1000/port=5000", 15, false},
	{"vxvde/GroupIPv6", "vxvde:///v6/grp=70000/vni=9", "vxvde:///v6/grp=70000/vni=9", 15, false},
	{"vxlan", "vxlan:///vni=16", "vxlan:///vni=16", 15, true},
	{"vxlan/IPv6", "vxlan:///v6/vni=16/port=4790", "vxlan:///v6/vni=16/port=4790", 15, true},
}

// TestInterop exchanges frames with Debian's vde_plug in both directions, in one
// datagram and in fragments, and goes on with another one when that was killed.
func TestInterop(t *testing.T) {
	testpeers.Need(t, "vde_plug")
	for _, c := range cNetworks {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && strings.Contains(c.name, "/") {
				t.Skip("in the long run")
			}
			a, b := testpeers.NewVeth(t)
			l := open(t, a, c.ours)
			for range 2 {
				plug := testpeers.StartVdePlugIn(t, b, c.theirs)
				c.exchange(t, l, plug)
				plug.Kill()
				for i := range 20 {
					send(t, l, numbered(cMAC, goMAC, i, 60))
				}
			}
			select {
			case <-l.Done():
				t.Errorf("the link has ended: %v", l.Err())
			default:
			}
		})
	}
}

func (c *cNetwork) exchange(t *testing.T, l link.Link, plug *testpeers.VdePlug) {
	dst := goMAC
	if c.floods {
		dst = frame.Broadcast()
	}
	for i, size := range []int{14, 60, 1514, 9000} {
		f := numbered(dst, cMAC, i, size)
		if err := plug.Send(f); err != nil {
			t.Fatal(err)
		}
		want(t, "to Go", recv(t, l), f)
	}
	for i, size := range []int{c.shortest, 60, 1400, 1514, 9000} {
		for _, to := range []frame.MAC{cMAC, frame.Broadcast()} {
			f := numbered(to, goMAC, i, size)
			send(t, l, f)
			got, err := plug.Recv(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			want(t, "to C", got, f)
		}
	}
	if !c.floods { // the C library has learned by now where goMAC is
		f := numbered(goMAC, cMAC, 7, 100)
		if err := plug.Send(f); err != nil {
			t.Fatal(err)
		}
		want(t, "to Go again", recv(t, l), f)
	}
	batch := make([][]byte, 40)
	for i := range batch {
		batch[i] = numbered(cMAC, goMAC, i, 1400)
	}
	send(t, l, batch...)
	for _, f := range batch {
		got, err := plug.Recv(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		want(t, "batch to C", got, f)
	}
}
