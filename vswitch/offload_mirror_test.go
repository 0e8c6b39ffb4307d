// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// An offloadMirror is a frame from port 1, station A, to port 2, station B, one of
// which is mirrored to port 3 or watched by a monitor session.
type offloadMirror struct {
	name    string
	source  int  // the port that is mirrored
	partial bool // the mirror takes partial frames
	monitor bool
	send    packet
	whole   bool // the mirror gets it as it was sent
}

// A mirror or a monitor session that takes ordinary frames gets those, and so does
// everybody then, and one that takes partial frames gets what there is; so it is
// for what comes from a port and what goes to it, forwarded or not.
func TestOffloadMirrors(t *testing.T) {
	super := segment(macB, macA, false, 7, payload(5000), 1400)
	foreign := withTag(super, 9) // of a VLAN that the port is not in: dropped, and mirrored
	for _, test := range []offloadMirror{
		{"from", 1, true, false, super, true},
		{"from", 1, false, false, super, false},
		{"to", 2, true, false, super, true},
		{"to", 2, false, false, super, false},
		{"monitor from", 1, true, true, super, true},
		{"monitor from", 1, false, true, super, false},
		{"monitor to", 2, true, true, super, true},
		{"monitor to", 2, false, true, super, false},
		{"dropped", 1, true, false, foreign, true},
		{"dropped", 1, false, false, foreign, false},
		{"dropped", 1, false, true, foreign, false},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, test.send.header == foreign.header) })
	}
}

// run is the subtest of an offloadMirror whose frame is dropped or not.
func (test offloadMirror) run(t *testing.T, dropped bool) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{})}})
	defer sw.Close()
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	a, b := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2))
	mirror := anyPortOf(t, sw, test.mirror(t, sw), test.partial)
	a.send(test.send)
	want := []packet{test.send}
	if !test.whole {
		want = plain(ordinary(test.send)...)
	}
	if got := mirror.received(); !equal(got, want) {
		t.Errorf("the mirror got\n%d %+v, want\n%d", lengths(got), got, lengths(want))
	}
	if dropped {
		want = nil
	}
	if got := b.received(); !equal(got, want) {
		t.Errorf("the port got\n%d %+v, want\n%d", lengths(got), got, lengths(want))
	}
	in := counts(t, sw, 1).In
	if in.Frames-in.Segments+in.GSOFrames != 1 || (in.GSOFrames == 0) != test.whole || dropped && in.Dropped.VLAN != in.Frames {
		t.Errorf("%+v", in)
	}
}

// mirror returns the connection that gets what is mirrored.
func (test offloadMirror) mirror(t *testing.T, sw *vswitch.Switch) *vde.Conn {
	if test.monitor {
		c, err := sw.Monitor(test.source)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := attach(t, sw, 3)
	if err := sw.Mirror(test.source, 3); err != nil {
		t.Fatal(err)
	}
	return c
}
