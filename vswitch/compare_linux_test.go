// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A step of the comparison: port from sends f.
type step struct {
	from int
	f    []byte
}

// TestLikeVDESwitch drives this switch and vde_switch with the same frames and
// compares what comes out of each port.
func TestLikeVDESwitch(t *testing.T) {
	bc := testFrame(frame.Broadcast(), macA, 100, 1)
	from := func(port int, dst, src frame.MAC) step { return step{port, testFrame(dst, src, 100, byte(port))} }
	vlanPorts := map[int]vswitch.PortConfig{
		1: {}, 2: {VLAN: 5}, 3: {Tagged: []uint16{5}}, 4: {VLAN: vswitch.NoVLAN, Tagged: []uint16{5, 7}},
	}
	vlanCommands := []string{
		"vlan/create 5", "vlan/create 7", "port/create 1", "port/create 2", "port/create 3", "port/create 4",
		"port/setvlan 2 5", "vlan/addport 5 3", "port/setvlan 4 4095", "vlan/addport 5 4", "vlan/addport 7 4",
	}
	vlanSteps := func() (steps []step) {
		for port := 1; port <= 4; port++ {
			steps = append(steps, step{port, bc})
			for _, tci := range []uint16{0, 5, 0x6005, 0x1005, 7, 9, 4095} {
				steps = append(steps, step{port, tagged(bc, tci)})
			}
		}
		return append(steps,
			step{1, testFrame(frame.MAC{0x01, 0x80, 0xc2}, macA, 60, 1)},
			step{2, testFrame(macB, macC, 100, 2)}, step{4, tagged(testFrame(macC, macB, 100, 4), 5)}, step{2, testFrame(macB, macC, 100, 2)})
	}()
	for _, test := range []struct {
		name     string
		hub      bool
		ports    map[int]vswitch.PortConfig
		commands []string
		steps    []step
	}{
		{"learning", false, nil, nil, []step{
			from(1, macB, macA), // unknown: flooded
			from(2, macA, macB), // known
			from(1, macB, macA),
			from(3, macA, macC),
			from(1, macA, macA),                        // to itself
			from(2, frame.MAC{1, 0, 0x5e}, macB),       // multicast
			{4, testFrame(macB, frame.MAC{3}, 100, 4)}, // a multicast source is forwarded
			{1, testFrame(frame.MAC{3}, macA, 100, 1)}, // and not learned
			{1, testFrame(frame.Broadcast(), macA, 14, 1)},
			{1, testFrame(frame.Broadcast(), macA, 1518, 1)},
		}},
		{"hub", true, nil, nil, []step{from(1, macB, macA), from(2, macA, macB), {3, tagged(bc, 9)}, {4, bc}}},
		{"VLANs", false, vlanPorts, vlanCommands, vlanSteps},
		{"hub with VLANs", true, vlanPorts, vlanCommands, vlanSteps[:8]},
	} {
		t.Run(test.name, func(t *testing.T) {
			sw, ours := start(t, vswitch.Config{Hub: test.hub, Ports: test.ports})
			stock := testutil.Switch(t, testutil.SwitchConfig{Hub: test.hub})
			for _, c := range test.commands {
				if _, err := stock.Console(c); err != nil {
					t.Fatalf("%s: %v", c, err)
				}
			}
			var conns [2]map[int]*vde.Conn
			for i, dir := range []string{ours, stock.Dir()} {
				conns[i] = make(map[int]*vde.Conn)
				for port := 1; port <= 4; port++ {
					conns[i][port] = open(t, fmt.Sprintf("%s[%d]", dir, port))
				}
			}
			for k, s := range test.steps {
				var out [2]map[int][]byte
				for i := range conns {
					if _, err := conns[i][s.from].Write(s.f); err != nil {
						t.Fatal(err)
					}
				}
				// The switches' answers come at their time; what both agree on to
				// send is waited for, the rest is looked for once more.
				for i := range conns {
					out[i] = make(map[int][]byte)
					for port, c := range conns[i] {
						c.SetReadDeadline(time.Now().Add(short))
						b := make([]byte, 2000)
						n, err := c.Read(b)
						if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Fatal(err)
						}
						out[i][port] = b[:n]
					}
				}
				for port := 1; port <= 4; port++ {
					if !bytes.Equal(out[0][port], out[1][port]) {
						t.Errorf("step %d, port %d sends %.20x: port %d gets\n%.40x (%d bytes) here,\n%.40x (%d bytes) from vde_switch",
							k, s.from, s.f, port, out[0][port], len(out[0][port]), out[1][port], len(out[1][port]))
					}
				}
			}
			checkAccounts(t, sw.Stats())
		})
	}
}
