// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// Who gets which form: with and without a tag, undone and ordinary, behind a
// header and not. Nobody's form changes another's, except that all get ordinary
// frames if one does.
func TestOffloadForms(t *testing.T) {
	const (
		src, untagged, trunk, other = 1, 2, 3, 4
		max                         = 1514 + 4
	)
	for _, v6 := range []bool{false, true} {
		super := segment(frame.Broadcast(), macA, v6, 7, payload(5000), 1400)
		sum := segment(frame.Broadcast(), macA, v6, 7, payload(999), 1400)
		done := packet{frame.VNetHeader{Flags: frame.VNetDataValid}, ordinary(sum)[0]}
		tiny := packet{data: testFrame(frame.Broadcast(), macA, 20, 1)}
		for _, test := range []struct {
			name   string
			send   packet
			agreed []int // besides src
			whole  bool
		}{
			{"super", super, []int{untagged, trunk}, true},
			{"super", super, []int{untagged}, false},
			{"super", super, []int{trunk}, false},
			{"super", super, nil, false},
			{"checksum", sum, []int{untagged, trunk}, true},
			{"checksum", sum, []int{untagged}, false},
			{"checksum", sum, []int{trunk}, false},
			{"done", done, []int{untagged}, true},
			{"done", done, []int{trunk}, true},
			{"tiny", tiny, []int{untagged}, true},
			{"tiny", tiny, []int{trunk}, true},
		} {
			for _, tag := range []bool{false, true} {
				for _, hub := range []bool{false, true} {
					sw := vswitch.New(vswitch.Config{MaxFrameSize: max, Hub: hub, Ports: map[int]vswitch.PortConfig{
						src: {VLAN: 5, Tagged: nil}, untagged: {VLAN: 5}, trunk: {Tagged: []uint16{5}}, other: {},
					}})
					conns := map[int]*vde.Conn{}
					agreed := map[int]*packetPort{}
					for n := src; n <= other; n++ {
						conns[n] = attach(t, sw, n)
					}
					for _, n := range append(test.agreed, src) {
						agreed[n] = packetsOn(t, sw, conns[n])
					}
					if hub {
						conns[other].Close() // it has not agreed, and would get everything
					}
					in, bare, with := test.send, test.send, withTag(test.send, 5)
					if tag {
						in = with
					}
					agreed[src].send(in)
					for n, form := range map[int]packet{untagged: bare, trunk: with} {
						if hub {
							form = in
						}
						want := plain(ordinary(form)...)
						if test.whole && agreed[n] != nil {
							want = []packet{form}
						}
						var got []packet
						if agreed[n] != nil {
							got = agreed[n].received()
						} else {
							got = plain(received(t, sw, conns[n])...)
						}
						if !equal(got, want) {
							t.Errorf("%s, v6 %v, tag %v, hub %v, agreed %v: port %d got\n%d %+v, want\n%d %+v",
								test.name, v6, tag, hub, test.agreed, n, lengths(got), got, lengths(want), want)
						}
						for _, h := range got {
							if len(h.data) > 60 {
								if _, _, err := payloadOf(h); err != nil && h.header.Flags != frame.VNetDataValid {
									t.Error(err)
								}
							}
						}
					}
					split := uint64(0)
					if !test.whole && test.send.header.GSOType != 0 {
						split = 1
					}
					in1 := counts(t, sw, src).In
					if in1.GSOFrames != split || in1.Segments != 4*split || in1.Frames-in1.Segments+in1.GSOFrames != 1 || in1.Flooded != in1.Frames {
						t.Errorf("%s, agreed %v: %+v", test.name, test.agreed, in1)
					}
					for _, c := range conns {
						c.Close()
					}
					sw.Close()
					if n := vswitch.Live(sw); n != 0 {
						t.Fatalf("%s: %d buffers live", test.name, n)
					}
				}
			}
		}
	}
}
