// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A mirror or a tap that has not agreed gets ordinary frames, and so does
// everybody then, and one that has gets what there is; so it is for what comes
// from a port and what goes to it, forwarded or not.
func TestOffloadMirrors(t *testing.T) {
	super := segment(macB, macA, false, 7, payload(5000), 1400)
	foreign := withTag(super, 9) // of a VLAN that the port is not in: dropped, and mirrored
	for _, test := range []struct {
		name   string
		src    int // 1 sends, 2 receives
		agreed bool
		tap    bool
		send   packet
		whole  bool
	}{
		{"from", 1, true, false, super, true},
		{"from", 1, false, false, super, false},
		{"to", 2, true, false, super, true},
		{"to", 2, false, false, super, false},
		{"tap from", 1, true, true, super, true},
		{"tap from", 1, false, true, super, false},
		{"tap to", 2, true, true, super, true},
		{"tap to", 2, false, true, super, false},
		{"dropped", 1, true, false, foreign, true},
		{"dropped", 1, false, false, foreign, false},
		{"dropped", 1, false, true, foreign, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{})}})
			defer sw.Close()
			testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
			a, b := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2))
			var m *vde.Conn
			if test.tap {
				var err error
				if m, err = sw.Monitor(test.src); err != nil {
					t.Fatal(err)
				}
				defer m.Close()
			} else {
				m = attach(t, sw, 3)
				if err := sw.Mirror(test.src, 3); err != nil {
					t.Fatal(err)
				}
			}
			want := []packet{test.send}
			if !test.whole {
				want = plain(ordinary(test.send)...)
			}
			var seen []packet
			if test.agreed {
				p := packetsOn(t, sw, m)
				a.send(test.send)
				seen = p.received()
			} else {
				a.send(test.send)
				seen = plain(received(t, sw, m)...)
			}
			if !equal(seen, want) {
				t.Errorf("the mirror got\n%d %+v, want\n%d", lengths(seen), seen, lengths(want))
			}
			if test.send.header == foreign.header {
				want = nil
			}
			if got := b.received(); !equal(got, want) {
				t.Errorf("the port got\n%d %+v, want\n%d", lengths(got), got, lengths(want))
			}
			in := counts(t, sw, 1).In
			if in.Frames-in.Segments+in.GSOFrames != 1 || (in.GSOFrames == 0) != test.whole || test.send.header == foreign.header && in.Dropped.VLAN != in.Frames {
				t.Errorf("%+v", in)
			}
		})
	}
}
