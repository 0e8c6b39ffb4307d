// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// vlanPorts are ports of each kind.
var vlanPorts = map[int]vswitch.PortConfig{
	1: {},                                                 // access, VLAN 0
	2: {VLAN: 5},                                          // access, VLAN 5
	3: {Tagged: []uint16{5}},                              // VLAN 0, and 5 tagged
	4: {VLAN: vswitch.NoVLAN},                             // nothing
	5: {VLAN: 4094, Tagged: []uint16{1}},                  // highest identifier
	6: {VLAN: vswitch.NoVLAN, Tagged: vswitch.AllVLANs()}, // trunk
	7: {VLAN: vswitch.NoVLAN, Tagged: []uint16{0, 5, 9}},  // VLAN 0 tagged
}

// A vlanTest is a frame that port from sends, and what arrives.
type vlanTest struct {
	name string
	from int
	send []byte
	want vlanOut
	hub  bool
}

// A vlanOut has the frame that each port gets. The others get none.
type vlanOut map[int][]byte

// docs/spec/vde-protocol.md, section 14, VLANs: what arrives is accepted, put in
// a VLAN and leaves as the table there says.
func TestVLANs(t *testing.T) {
	plain := testFrame(frame.Broadcast(), macA, 60, 0x55)
	longest := testFrame(frame.Broadcast(), macA, 9234, 1)
	bpdu := testFrame(frame.MAC{0x01, 0x80, 0xc2}, macA, 60, 0x55)
	with := func(tci uint16) []byte { return tagged(plain, tci) }
	for _, test := range []vlanTest{
		{"untagged from VLAN 0", 1, plain, vlanOut{3: plain, 7: with(0)}, false},
		{"untagged from VLAN 5", 2, plain, vlanOut{3: with(5), 6: with(5), 7: with(5)}, false},
		{"untagged from a hybrid port", 3, plain, vlanOut{1: plain, 7: with(0)}, false},
		{"tag 5, priority 3, DEI", 3, with(0x7005), vlanOut{2: plain, 6: with(0x7005), 7: with(0x7005)}, false},
		{"tag 5 on a port of VLAN 0", 1, with(5), nil, false},
		{"tag of an access port's own VLAN", 2, with(5), nil, false},
		{"tag of a hybrid port's own VLAN", 5, with(4094), vlanOut{6: with(4094)}, false},
		{"no VLAN", 4, plain, nil, false},
		{"no VLAN, tag 0", 4, with(0), nil, false},
		{"tag 0 is VLAN 0", 3, with(0), vlanOut{1: plain, 7: with(0)}, false},
		{"priority tag on a port of VLAN 5", 2, with(0xe000), vlanOut{3: with(0xe005), 6: with(0xe005), 7: with(0xe005)}, false},
		{"tag of another VLAN", 3, with(9), nil, false},
		{"trunk, 4094", 6, with(4094), vlanOut{5: plain}, false},
		{"trunk, 9", 6, with(9), vlanOut{7: with(9)}, false},
		{"trunk, 4095", 6, with(4095), nil, false},
		{"trunk, untagged", 6, plain, nil, false},
		{"access, 4094", 5, plain, vlanOut{6: with(4094)}, false},
		{"long", 2, longest, vlanOut{3: tagged(longest, 5), 6: tagged(longest, 5), 7: tagged(longest, 5)}, false},
		{"BPDU", 1, bpdu, vlanOut{3: bpdu, 7: tagged(bpdu, 0)}, false},
		{"hub", 1, with(9), vlanOut{2: with(9), 3: with(9), 4: with(9), 5: with(9), 6: with(9), 7: with(9)}, true},
	} {
		t.Run(test.name, test.run)
	}
}

// run is the subtest of a vlanTest.
func (test vlanTest) run(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: vlanPorts, Hub: test.hub})
	defer sw.Close()
	conns := make(map[int]*vde.Conn)
	for n := range vlanPorts {
		c, err := sw.Attach(vde.WithPort(n), vde.WithMaxFrameSize(9300))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[n] = c
	}
	zero := attach(t, sw, vswitch.Management)
	write(t, conns[test.from], test.send)
	for n, c := range conns {
		got := bytes.Join(received(t, sw, c), nil)
		if !bytes.Equal(got, test.want[n]) {
			t.Errorf("port %d sends %d bytes %x: port %d got\n%d bytes %.40x, want\n%d bytes %.40x",
				test.from, len(test.send), test.send[:18], n, len(got), got, len(test.want[n]), test.want[n])
		}
	}
	if got := received(t, sw, zero); test.hub && len(got) > 0 {
		t.Errorf("port 0 of a hub got %x", got)
	}
	checkAccounts(t, sw.Stats())
}

// Every identifier forwards within itself and keeps its stations apart.
func TestAllVLANs(t *testing.T) {
	trunk := vswitch.PortConfig{VLAN: vswitch.NoVLAN, Tagged: vswitch.AllVLANs()}
	sw := vswitch.New(vswitch.Config{DefaultPort: trunk})
	defer sw.Close()
	a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
	for v := uint16(1); v <= 4094; v++ {
		write(t, a, tagged(testFrame(frame.Broadcast(), macA, 60, 1), v)) // A is on port 1 in each
	}
	if n := len(sw.FDB()); n != 4094 {
		t.Errorf("%d stations, want 4094", n)
	}
	for _, conn := range []*vde.Conn{b, c} {
		// The queue holds 512.
		if got := received(t, sw, conn); len(got) != 512 {
			t.Errorf("%d frames", len(got))
		}
	}
	for v := uint16(1); v <= 4094; v++ {
		f := tagged(testFrame(macA, macB, 60, 1), v)
		write(t, b, f)
		buf := make([]byte, 100)
		if n, err := a.Read(buf); err != nil || !bytes.Equal(buf[:n], f) {
			t.Fatalf("VLAN %d: %x, %v", v, buf[:n], err)
		}
	}
	if got := received(t, sw, c); len(got) != 0 {
		t.Errorf("%d frames for known stations were flooded", len(got))
	}
	checkAccounts(t, sw.Stats())
}
