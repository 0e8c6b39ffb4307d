// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/node"
)

// A step is one frame: from and to are 0 for the host, and n for cable n.
type step struct {
	from     int
	dst, src frame.MAC
	to       []int
}

// tableSteps are the rows of the table in docs/spec/vnl.md, section 4.2, with three
// cables.
var tableSteps = map[node.Kind][]step{
	node.Hub: {
		{1, mac(9), mac(1), []int{0, 2, 3}},
		{0, mac(1), mac(0), []int{1, 2, 3}},
		{2, mac(1), mac(2), []int{0, 1, 3}},
		{3, frame.Broadcast(), mac(3), []int{0, 1, 2}},
	},
	node.Switch: {
		{1, mac(9), mac(1), []int{0, 2, 3}}, // unknown
		{2, mac(1), mac(2), []int{1}},
		{1, mac(2), mac(1), []int{2}},
		{0, mac(1), mac(0), []int{1}},
		{3, mac(0), mac(3), []int{0}},
		{0, mac(9), mac(0), []int{1, 2, 3}},
		{0, frame.Broadcast(), mac(0), []int{1, 2, 3}},
		{1, mac(1), mac(8), nil}, // never back
		{2, mac(1), mac(8), []int{1}},
		{0, mac(8), mac(0), []int{2}}, // a station that has moved
	},
	node.Multi: {
		{1, mac(2), mac(1), []int{0}},
		{2, mac(1), mac(2), []int{0}},
		{3, frame.Broadcast(), mac(3), []int{0}},
		{0, mac(1), mac(0), []int{1, 2, 3}},
		{0, frame.Broadcast(), mac(0), []int{1, 2, 3}},
	},
	node.Bonding: {
		{1, mac(2), mac(1), []int{0}},
		{2, frame.Broadcast(), mac(2), []int{0}},
		{0, mac(1), mac(0), []int{2}}, // beginning with the second
		{0, mac(1), mac(0), []int{3}},
		{0, frame.Broadcast(), mac(0), []int{1}},
		{0, mac(1), mac(0), []int{2}},
		{3, mac(1), mac(3), []int{0}},
		{0, mac(1), mac(0), []int{3}},
	},
}

// TestForwarding sends a frame for each row of the table: it reaches exactly those
// whom the row names, and is the same there, whether frames go through sockets or
// through memory.
func TestForwarding(t *testing.T) {
	for _, mode := range []vde.SharedMemory{vde.SharedMemorySameUser, vde.SharedMemoryNever} {
		for kind, steps := range tableSteps {
			t.Run(fmt.Sprintf("%s/%s", kind, mode), func(t *testing.T) {
				dir := newDir(t)
				c, sw := open(t, kind, dir, "")
				ends := []*vde.Conn{c}
				for range 3 {
					ends = append(ends, join(t, dir, vde.WithSharedMemory(mode)))
				}
				want := make(map[int]uint64)
				for i := range ends {
					want[1+i] = 0
				}
				for i, s := range steps {
					f := numbered(s.dst, s.src, uint32(i), 60)
					write(t, ends[s.from], f)
					for _, to := range s.to {
						wantFrame(t, fmt.Sprintf("step %d: %d", i, to), ends[to], f)
						want[1+to]++
					}
					if got := offered(t, sw, uint64(i+1)); !maps.Equal(got, want) {
						t.Fatalf("step %d: the ports, of which 1 is the host, got %v frames, want %v", i, got, want)
					}
				}
			})
		}
	}
}

// TestVLANs checks that the tag tells stations of different VLANs apart, all 12 bits
// of it, and that no tag is changed: libvdeplug takes VLAN 1025 for VLAN 1.
func TestVLANs(t *testing.T) {
	dir := newDir(t)
	c, sw := open(t, node.Switch, dir, "")
	ends := []*vde.Conn{c, join(t, dir), join(t, dir), join(t, dir)}
	station := mac(7)
	frames := uint64(0)
	send := func(from int, f []byte, to ...int) {
		t.Helper()
		write(t, ends[from], f)
		frames++
		before := offered(t, sw, frames)
		for _, n := range to {
			wantFrame(t, fmt.Sprint("end ", n), ends[n], f)
		}
		for n := range ends {
			if !slices.Contains(to, n) && n != from {
				// Nothing more may have been offered than is read here.
				if got, read := before[1+n], ends[n].Stats().RxFrames; got != read {
					t.Errorf("end %d was offered %d frames, and has read %d", n, got, read)
				}
			}
		}
	}
	plain := numbered(frame.Broadcast(), station, 1, 60)
	send(1, withTag(plain, 1), 0, 2, 3)    // station 7 of VLAN 1 is at cable 1
	send(2, withTag(plain, 1025), 0, 1, 3) // that of VLAN 1025 at cable 2
	send(3, withTag(plain, 4095), 0, 1, 2) // that of VLAN 4095 at cable 3
	send(0, plain, 1, 2, 3)                // and that without a VLAN at the host
	to := numbered(station, mac(1), 2, 60)
	send(0, withTag(to, 1), 1)
	send(0, withTag(to, 1025), 2)
	send(0, withTag(to, 0xe000|1025), 2) // with a priority
	send(0, withTag(to, 4095), 3)
	send(1, to, 0)
	send(1, withTag(to, 0xa000), 0) // a priority tag, which stays
	send(1, withTag(to, 2), 0, 2, 3)
}

// TestBondingWithoutCable checks that frames for no cable go nowhere and are counted,
// and that a cable that has left is not sent to.
func TestBondingWithoutCable(t *testing.T) {
	dir := newDir(t)
	c, sw := open(t, node.Bonding, dir, "")
	write(t, c, numbered(mac(1), mac(0), 0, 60))
	first, second := join(t, dir), join(t, dir)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the first cable is gone", func() bool {
		return len(slices.DeleteFunc(sw.Ports(), func(p vswitch.PortInfo) bool { return !p.Active() })) == 2
	})
	for i := range 5 {
		f := numbered(mac(1), mac(0), uint32(i), 60)
		write(t, c, f)
		wantFrame(t, "the second cable", second, f)
	}
	if got := offered(t, sw, 6)[3]; got != 5 {
		t.Errorf("the second cable was offered %d frames", got)
	}
}

// TestExpireTime checks that an address is forgotten after the time in the locator.
func TestExpireTime(t *testing.T) {
	for _, test := range []struct {
		params string
		lives  bool // after 100 seconds
	}{{"[expiretime=99]", false}, {"[expiretime=101]", true}, {"", true}, {"[e=0]", false}} {
		t.Run(test.params, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testExpireTime(t, test.params, test.lives) })
		})
	}
}

func testExpireTime(t *testing.T, params string, lives bool) {
	cfg, err := node.ConfigOf(node.Driver{Kind: node.Switch}, vnl.Locator{Scheme: "switch", Arg: "/x" + params}, link.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	sw := vswitch.New(cfg)
	defer sw.Close()
	a, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	write(t, a, numbered(mac(2), mac(1), 0, 60))
	if n := len(sw.FDB()); n != 1 {
		t.Fatalf("%d entries", n)
	}
	time.Sleep(100 * time.Second) // of the bubble
	synctest.Wait()
	if n := len(sw.FDB()); (n == 1) != lives {
		t.Errorf("%d entries after 100 seconds", n)
	}
}
