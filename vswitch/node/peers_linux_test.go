// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/node"
)

// TestVdePlugs has Debian's vde_plug as the cables of each kind of node, and sends what
// TestForwarding sends. Some ask for port 5 or port 0, which the nodes of libvdeplug
// do not have.
func TestVdePlugs(t *testing.T) {
	testpeers.Need(t, "linux", "vde_plug")
	for kind, steps := range tableSteps {
		t.Run(string(kind), func(t *testing.T) {
			dir := newDir(t)
			c, sw := open(t, kind, dir, "")
			plugs := []*testpeers.VdePlug{nil}
			for i := range 3 {
				plugs = append(plugs, testpeers.StartVdePlug(t, dir+[]string{"", "[5]", "[5]"}[i]))
			}
			for i, s := range steps {
				f := numbered(s.dst, s.src, uint32(i), 60)
				if s.from == 0 {
					write(t, c, f)
				} else if err := plugs[s.from].Send(f); err != nil {
					t.Fatal(err)
				}
				for _, to := range s.to {
					if to == 0 {
						wantFrame(t, fmt.Sprintf("step %d: the host", i), c, f)
						continue
					}
					if got, err := plugs[to].Recv(t.Context()); err != nil || !bytes.Equal(got, f) {
						t.Fatalf("step %d: cable %d got %x, %v, want %x", i, to, got, err, f)
					}
				}
				offered(t, sw, uint64(i+1))
			}
		})
	}
}

// TestCPrograms has C programs on libvdeplug send thousands of frames through each kind
// of node, to the host and from it, and to each other where the kind has that: none is
// lost, and all are as they were.
func TestCPrograms(t *testing.T) {
	testpeers.Need(t, "linux", "gcc", "libvdeplug.h")
	count := 5000
	if testing.Short() {
		count = 500
	}
	for _, kind := range []node.Kind{node.Switch, node.Hub, node.Multi, node.Bonding} {
		t.Run(string(kind), func(t *testing.T) {
			dir := newDir(t)
			c, sw := open(t, kind, dir, "")
			echo := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CEcho, Network: dir, MAC: mac(1)})
			// One frame after the other: a hub does not wait for its cables.
			for i := range uint32(count) {
				f := numbered(mac(1), mac(0), i, 60+int(i)%1400)
				write(t, c, f)
				back := slices.Clone(f)
				copy(back, f[6:12])
				copy(back[6:], f[:6])
				wantFrame(t, "the host", c, back)
			}
			r, err := echo.Finish(t.Context())
			if err != nil || r.Frames != uint64(count) {
				t.Errorf("%+v, %v", r, err)
			}
			offered(t, sw, uint64(2*count))
		})
	}
	t.Run("between cables", func(t *testing.T) {
		dir := newDir(t)
		_, sw := open(t, node.Switch, dir, "") // whose host never receives
		sink := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CSink, Network: dir, MAC: mac(2), Count: uint64(count)})
		if err := sw.SetPort(2, withStatic(t, sw, 2, mac(2))); err != nil {
			t.Fatal(err)
		}
		source := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CSource, Network: dir, MAC: mac(1), Peer: mac(2), Count: uint64(count), Size: 1514})
		if err := source.Begin(); err != nil {
			t.Fatal(err)
		}
		r, err := sink.Wait(t.Context())
		if err != nil || r.Frames != uint64(count) || r.Lost+r.Duplicates+r.Corrupt > 0 {
			t.Errorf("%+v, %v", r, err)
		}
		offered(t, sw, uint64(count))
	})
}

// TestJoinNodesOfLibvdeplug joins the nodes of libvdeplug, and has a C program there
// answer through those that pass frames on between cables.
func TestJoinNodesOfLibvdeplug(t *testing.T) {
	testpeers.Need(t, "linux", "gcc", "libvdeplug.h", "vde_plug")
	for _, kind := range []node.Kind{node.Switch, node.Hub} {
		t.Run(string(kind), func(t *testing.T) {
			n := testpeers.StartNode(t, string(kind))
			c := join(t, n.Dir())
			echo := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CEcho, Network: n.Dir(), MAC: mac(1)})
			for i := range uint32(100) {
				f := numbered(mac(1), mac(0), i, 200)
				write(t, c, f)
				back := slices.Clone(f)
				copy(back, f[6:12])
				copy(back[6:], f[:6])
				wantFrame(t, "we", c, back)
			}
			if r, err := echo.Finish(t.Context()); err != nil || r.Frames != 100 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	for _, kind := range []node.Kind{node.Multi, node.Bonding} {
		t.Run(string(kind), func(t *testing.T) {
			// Its host is vde_plug, whose standard input and output the test has.
			dir := newDir(t)
			host := testpeers.StartVdePlug(t, string(kind)+"://"+dir)
			var c *vde.Conn
			await(t, "joined", func() (ok bool) {
				var err error
				c, err = vde.Open(t.Context(), dir)
				return err == nil
			})
			defer c.Close()
			f := numbered(frame.Broadcast(), mac(1), 1, 100)
			write(t, c, f)
			if got, err := host.Recv(t.Context()); err != nil || !bytes.Equal(got, f) {
				t.Errorf("the host got %x, %v", got, err)
			}
			f = numbered(mac(1), mac(0), 2, 100)
			if err := host.Send(f); err != nil {
				t.Fatal(err)
			}
			wantFrame(t, "we", c, f)
		})
	}
}
