// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/node"
)

// An addressed is a link whose frames are broadcasts of one station for its user, and
// go from the station from to the station to of the network.
type addressed struct {
	link.Link
	from, to frame.MAC
}

// Send implements link.Link.
func (l addressed) Send(t link.Tx) (n, calls int, err error) {
	t.Frames = slices.Clone(t.Frames)
	for i, f := range t.Frames {
		t.Frames[i] = l.address(f)
	}
	t.Pieces = slices.Clone(t.Pieces)
	for i, p := range t.Pieces {
		f := l.address(slices.Concat(p...))
		t.Pieces[i] = net.Buffers{f[:1], nil, f[1:]}
	}
	return l.Link.Send(t)
}

func (l addressed) address(f []byte) []byte {
	f = slices.Clone(f)
	copy(f, l.to[:])
	copy(f[6:], l.from[:])
	return f
}

// Recv implements link.Link.
func (l addressed) Recv(r link.Rx) (n int, err error) {
	n, err = l.Link.Recv(r)
	for i, b := range r.Bufs[:n] {
		all, station := frame.Broadcast(), mac(1)
		b = b[:min(len(b), r.Sizes[i])]
		copy(b, all[:])
		copy(b[min(6, len(b)):], station[:])
	}
	return n, err
}

// An ordinary is a link that takes complete frames only. A cable tells the switch that
// it takes others with a message, which frames of the host may overtake.
type ordinary struct{ link.Link }

// Caps implements link.Link.
func (l ordinary) Caps() link.Caps {
	c := l.Link.Caps()
	c.Offload = 0
	return c
}

// TestLink holds the links of the host and of one cable to the promises of package
// link. A hub and a multi do not wait for cables, which makes their queues unbounded
// for the host.
func TestLink(t *testing.T) {
	for _, kind := range []node.Kind{node.Switch, node.Hub, node.Multi, node.Bonding} {
		for _, mode := range []link.SharedMemory{link.SharedMemorySameUser, link.SharedMemoryNever} {
			t.Run(fmt.Sprintf("%s/%s", kind, mode), func(t *testing.T) {
				linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) { return pair(tb, kind, mode) }, linktest.Options{
					NoHangup:  true, // the host does not learn that a cable has gone
					NoCount:   true, // frames are on their way through the switch
					Unbounded: kind == node.Hub || kind == node.Multi,
				})
			})
		}
	}
}

// pair returns the links of the host of a node and of a cable.
func pair(tb testing.TB, kind node.Kind, mode link.SharedMemory) (host, cable link.Link, err error) {
	dir := newDir(tb)
	d := node.Driver{Kind: kind, Config: vswitch.Config{DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}}}
	host, err = d.Open(tb.Context(), vnl.Locator{Scheme: string(kind), Arg: dir}, link.Settings{})
	if err != nil {
		return nil, nil, err
	}
	tb.Cleanup(func() { host.Close() })
	cable, err = vdeplug.Driver{}.Open(tb.Context(), vnl.Parse(dir), link.Settings{SharedMemory: mode})
	if err != nil || kind != node.Switch {
		return ordinary{host}, cable, err
	}
	// The switch has to know where they are.
	at, from := addressed{ordinary{host}, mac(3), mac(4)}, addressed{cable, mac(4), mac(3)}
	for _, l := range [][2]link.Link{{from, at}, {at, from}} {
		if err := pass(l[0], l[1]); err != nil {
			return nil, nil, err
		}
	}
	return at, from, nil
}

// pass sends one frame and receives it.
func pass(from, to link.Link) error {
	if _, _, err := from.Send(link.Tx{Frames: [][]byte{numbered(frame.Broadcast(), mac(1), 0, 60)}}); err != nil {
		return err
	}
	_, err := to.Recv(link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)})
	return err
}

// TestNoAllocations has the host send to a cable, and receive from it.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for kind := range tableSteps {
		host, cable, err := pair(t, kind, link.SharedMemorySameUser)
		if err != nil {
			t.Fatal(err)
		}
		defer cable.Close()
		if a, ok := host.(addressed); ok {
			host, cable = a.Link, cable.(addressed).Link // what they allocate is the test's
		}
		to, back := [][]byte{numbered(mac(4), mac(3), 0, 60)}, [][]byte{numbered(mac(3), mac(4), 0, 60)}
		rx := link.Rx{Bufs: [][]byte{make([]byte, 2000)}, Sizes: make([]int, 1)}
		if n := testing.AllocsPerRun(500, func() {
			for _, way := range []struct {
				from, to link.Link
				frames   [][]byte
			}{{host, cable, to}, {cable, host, back}} {
				if _, _, err := way.from.Send(link.Tx{Frames: way.frames}); err != nil {
					t.Fatal(err)
				}
				if _, err := way.to.Recv(rx); err != nil {
					t.Fatal(err)
				}
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for a frame there and one back", kind, n)
		}
	}
}
