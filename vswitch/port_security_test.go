// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// pass attaches conns, a port each, sends f from the first and returns what the
// others get.
func pass(t *testing.T, sw *vswitch.Switch, from *vde.Conn, others []*vde.Conn, f []byte) (got [][]byte) {
	t.Helper()
	write(t, from, f)
	for _, c := range others {
		got = append(got, bytes.Join(received(t, sw, c), nil))
	}
	return got
}

// A frame from a group address is dropped, as bridges do: no station has one. It
// would pass every limit of addresses, because it is never learned.
func TestGroupSource(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: {MACLimit: 1}, 3: {MACLimit: -1}}})
	defer sw.Close()
	conns := []*vde.Conn{attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)}
	for i, src := range []frame.MAC{frame.Broadcast(), {3}, {1, 0, 0x5e, 0, 0, 1}, {0x33, 0x33}} {
		for k, c := range conns {
			others := slices.Delete(slices.Clone(conns), k, k+1)
			for _, f := range pass(t, sw, c, others, testFrame(frame.Broadcast(), src, 60, 1)) {
				if len(f) > 0 {
					t.Errorf("from %v on port %d: forwarded", src, k+1)
				}
			}
			if in := counts(t, sw, k+1).In; in.Dropped != (vswitch.InDropped{Group: uint64(i + 1)}) {
				t.Errorf("from %v on port %d: %+v", src, k+1, in.Dropped)
			}
		}
	}
	sw.SetHub(true) // a hub does not look at addresses
	if got := pass(t, sw, conns[0], conns[1:], testFrame(macB, frame.MAC{3}, 60, 1)); len(got[0]) != 60 || len(got[1]) != 60 {
		t.Errorf("through a hub: %x", got)
	}
	checkAccounts(t, sw.Stats())
}

// A table that is full does not open a port that is limited to some addresses.
func TestLimitWithFullTable(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFDBEntries: 4, Ports: map[int]vswitch.PortConfig{1: {MACLimit: 1}, 2: {MACLimit: 3}}})
	defer sw.Close()
	limited, others, sink := attach(t, sw, 1), attach(t, sw, 3), attach(t, sw, 4)
	fresh := attach(t, sw, 2)
	from := func(c *vde.Conn, last byte) bool {
		t.Helper()
		write(t, c, testFrame(frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, last}, 60, 1))
		return len(received(t, sw, sink)) == 1
	}
	if !from(limited, 1) {
		t.Error("the first address of the port did not pass")
	}
	for i := range byte(3) {
		from(others, 10+i)
	}
	for i := range byte(20) {
		if from(limited, 20+i) {
			t.Errorf("address %d of a port limited to one passed", i+2)
		}
		if from(fresh, 50+i) {
			t.Errorf("address %d of a port with a limit passed and was not learned", i+1)
		}
		if !from(others, 80+i) {
			t.Error("a port without a limit was stopped by a full table")
		}
	}
	if !from(limited, 1) {
		t.Error("the address that is known did not pass")
	}
	for n, want := range map[int]uint64{1: 20, 2: 20, 3: 0} {
		if in := counts(t, sw, n).In; in.Dropped != (vswitch.InDropped{Security: want}) {
			t.Errorf("port %d: %+v", n, in.Dropped)
		}
	}
	checkAccounts(t, sw.Stats())
}

// doubleTagged returns a broadcast with two tags.
func doubleTagged(outer, inner uint16) []byte {
	return tagged(tagged(testFrame(frame.Broadcast(), macA, 60, 1), inner), outer)
}

// A station on an access port cannot have a tag removed for it and so get a frame
// into another VLAN behind the next switch. Service tags are never removed.
func TestDoubleTagging(t *testing.T) {
	ports := map[int]vswitch.PortConfig{
		1: {VLAN: 10}, 2: {VLAN: 10, Tagged: []uint16{20}}, 3: {VLAN: 20}, 4: {VLAN: vswitch.NoVLAN, Tagged: []uint16{10, 20}},
	}
	service := func(tpid byte) []byte {
		f := doubleTagged(10, 20)
		f[12], f[13] = tpid, 0
		if tpid == 0x88 {
			f[13] = 0xa8
		}
		return f
	}
	plain := testFrame(frame.Broadcast(), macA, 60, 1)
	for _, test := range []taggingTest{
		{"own VLAN, then another", 1, doubleTagged(10, 20), nil, vswitch.InDropped{Tagged: 1}},
		{"own VLAN", 1, tagged(plain, 10), nil, vswitch.InDropped{Tagged: 1}},
		{"own VLAN with a priority", 1, tagged(plain, 0xe00a), nil, vswitch.InDropped{Tagged: 1}},
		{"another", 1, tagged(plain, 20), nil, vswitch.InDropped{VLAN: 1}},
		{"priority tag, then another", 1, doubleTagged(0, 20), nil, vswitch.InDropped{Tagged: 1}},
		{"priority tag twice", 1, doubleTagged(0xe000, 0xe000), nil, vswitch.InDropped{Tagged: 1}},
		{"priority tag, then another, from a trunk", 2, doubleTagged(0, 20), nil, vswitch.InDropped{Tagged: 1}},
		{"priority tag", 1, tagged(plain, 0xa000), map[int][]byte{2: plain, 4: tagged(plain, 0xa00a)}, vswitch.InDropped{}},
		{"priority tag from a trunk", 2, tagged(plain, 0xb000), map[int][]byte{1: plain, 4: tagged(plain, 0xb00a)}, vswitch.InDropped{}},
		{"priority tag, no VLAN", 4, tagged(plain, 0), nil, vswitch.InDropped{VLAN: 1}},
		{"0x88a8", 1, service(0x88), map[int][]byte{2: service(0x88), 4: tagged(service(0x88), 10)}, vswitch.InDropped{}},
		{"0x9100", 1, service(0x91), map[int][]byte{2: service(0x91), 4: tagged(service(0x91), 10)}, vswitch.InDropped{}},
	} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/together=%v", test.name, together), func(t *testing.T) {
				test.check(t, ports, together)
			})
		}
	}
}

// A taggingTest sends a frame from a port, and says which ports get what.
type taggingTest struct {
	name    string
	from    int
	f       []byte
	want    map[int][]byte
	dropped vswitch.InDropped
}

// check sends the frame through a switch of such ports: alone, or together with what
// else has come, as from a ring.
func (test *taggingTest) check(t *testing.T, ports map[int]vswitch.PortConfig, together bool) {
	sw := vswitch.New(vswitch.Config{Ports: ports})
	defer sw.Close()
	conns := make(map[int]*vde.Conn)
	for n := range ports {
		conns[n] = attach(t, sw, n)
	}
	sent := slices.Clone(test.f)
	if together {
		vswitch.Inject(sw, test.from, [][]byte{sent}, make([]frame.VNetHeader, 1))
	} else {
		write(t, conns[test.from], sent)
	}
	if !bytes.Equal(sent, test.f) {
		t.Error("the sender's frame was changed")
	}
	for n, c := range conns {
		if got := bytes.Join(received(t, sw, c), nil); !bytes.Equal(got, test.want[n]) {
			t.Errorf("port %d got % x, want % x", n, got, test.want[n])
		}
	}
	if in := counts(t, sw, test.from).In; in.Dropped != test.dropped {
		t.Errorf("%+v, want %+v", in.Dropped, test.dropped)
	}
	checkAccounts(t, sw.Stats())
	for _, c := range conns {
		c.Close()
	}
	if n := vswitch.Live(sw); n != 0 {
		t.Errorf("%d buffers live", n)
	}
}

// A partial frame with a priority tag stays partial, with its offsets where they are.
func TestPriorityTagPartial(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		1: {VLAN: 10}, 2: {VLAN: 10}, 3: {VLAN: vswitch.NoVLAN, Tagged: []uint16{10}},
	}})
	defer sw.Close()
	a, b, c := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2)), packetsOn(t, sw, attach(t, sw, 3))
	h := segment(frame.Broadcast(), macA, false, 1, payload(9000), 1400)
	a.send(withTag(h, 0x6000))
	if got := b.received(); !equal(got, []packet{h}) {
		t.Errorf("untagged: %+v", got)
	}
	if got := c.received(); !equal(got, []packet{withTag(h, 0x600a)}) {
		t.Errorf("tagged: %+v", got)
	}
}
