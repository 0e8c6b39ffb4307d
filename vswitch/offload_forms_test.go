// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// The ports of an offloadForm.
const (
	formSource = 1 + iota // in VLAN 5, takes partial frames
	formAccess            // in VLAN 5
	formTrunk             // takes VLAN 5 tagged
	formOther             // in another VLAN, takes ordinary frames
)

// An offloadForm is a frame that formSource sends to everybody.
type offloadForm struct {
	name    string
	send    packet
	partial []int // the other ports that take partial frames
	whole   bool  // they get it as it was sent
}

// Who gets which form: with and without a tag, unfinished and ordinary, behind a
// header and not. Nobody's form changes another's, except that all get ordinary
// frames if one does.
func TestOffloadForms(t *testing.T) {
	for version, v6 := range map[string]bool{"IPv4 ": false, "IPv6 ": true} {
		super := segment(frame.Broadcast(), macA, v6, 7, payload(5000), 1400)
		sum := segment(frame.Broadcast(), macA, v6, 7, payload(999), 1400)
		done := packet{frame.VNetHeader{Flags: frame.VNetDataValid}, ordinary(sum)[0]}
		tiny := packet{data: testFrame(frame.Broadcast(), macA, 20, 1)}
		for _, form := range []offloadForm{
			{version + "super", super, []int{formAccess, formTrunk}, true},
			{version + "super", super, []int{formAccess}, false},
			{version + "super", super, []int{formTrunk}, false},
			{version + "super", super, nil, false},
			{version + "checksum", sum, []int{formAccess, formTrunk}, true},
			{version + "checksum", sum, []int{formAccess}, false},
			{version + "checksum", sum, []int{formTrunk}, false},
			{version + "done", done, []int{formAccess}, true},
			{version + "done", done, []int{formTrunk}, true},
			{"tiny", tiny, []int{formAccess}, true},
			{"tiny", tiny, []int{formTrunk}, true},
		} {
			for _, tag := range []bool{false, true} {
				for _, hub := range []bool{false, true} {
					form.test(t, tag, hub)
				}
			}
		}
	}
}

// test sends the frame, with a tag or without, through a switch or a hub.
func (f offloadForm) test(t *testing.T, tag, hub bool) {
	t.Helper()
	what := fmt.Sprintf("%s, tag %v, hub %v, ports %v take partial frames", f.name, tag, hub, f.partial)
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514 + 4, Hub: hub, Ports: map[int]vswitch.PortConfig{
		formSource: {VLAN: 5, Tagged: []uint16{1}}, formAccess: {VLAN: 5}, formTrunk: {Tagged: []uint16{5}}, formOther: {},
	}})
	ports := map[int]anyPort{}
	for n := formSource; n <= formOther; n++ {
		ports[n] = attachAny(t, sw, n, n == formSource || slices.Contains(f.partial, n))
	}
	if hub {
		ports[formOther].c.Close() // it takes ordinary frames, and would get everything
	}
	bare, with := f.send, withTag(f.send, 5)
	in := bare
	if tag {
		in = with
	}
	ports[formSource].send(in)
	for n, out := range map[int]packet{formAccess: bare, formTrunk: with} {
		if hub {
			out = in
		}
		f.checkPort(t, fmt.Sprintf("%s: port %d", what, n), ports[n], out)
	}
	split := uint64(0)
	if !f.whole && f.send.header.GSOType != 0 {
		split = 1
	}
	if st := counts(t, sw, formSource).In; st.GSOFrames != split || st.Segments != 4*split || st.Frames-st.Segments+st.GSOFrames != 1 || st.Flooded != st.Frames {
		t.Errorf("%s: %+v", what, st)
	}
	for _, p := range ports {
		p.c.Close()
	}
	sw.Close()
	if n := vswitch.Live(sw); n != 0 {
		t.Fatalf("%s: %d buffers live", what, n)
	}
}

// checkPort checks that p gets the frame out in its form.
func (f offloadForm) checkPort(t *testing.T, what string, p anyPort, out packet) {
	t.Helper()
	want := plain(ordinary(out)...)
	if f.whole && p.partial {
		want = []packet{out}
	}
	got := p.received()
	if !equal(got, want) {
		t.Errorf("%s got\n%d %+v, want\n%d %+v", what, lengths(got), got, lengths(want), want)
	}
	for _, h := range got {
		if len(h.data) > 60 && h.header.Flags != frame.VNetDataValid {
			if _, _, err := payloadOf(h); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}
