// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// A frame that is not what its header says goes nowhere, not to mirrors either.
func TestOffloadBroken(t *testing.T) {
	sw, b := mirrored(t)
	good := segment(frame.Broadcast(), macA, false, 1, payload(4000), 1400)
	change := func(f func(*packet)) packet {
		h := packet{good.header, slices.Clone(good.data)}
		f(&h)
		return h
	}
	for _, test := range []struct {
		name string
		send packet
		want vswitch.InDropped
	}{
		{"empty", packet{}, vswitch.InDropped{Empty: 1}},
		{"empty with header", packet{header: good.header}, vswitch.InDropped{Empty: 1}},
		{"runt", packet{data: make([]byte, 13)}, vswitch.InDropped{Runt: 1}},
		{"runt with header", packet{good.header, make([]byte, 13)}, vswitch.InDropped{Runt: 1}},
		{"ordinary giant", packet{data: make([]byte, 1515)}, vswitch.InDropped{Giant: 1}},
		{"unknown flag", change(func(h *packet) { h.header.Flags |= 4 }), vswitch.InDropped{Offload: 1}},
		{"unknown kind", change(func(h *packet) { h.header.GSOType = 3 }), vswitch.InDropped{Offload: 1}},
		{"other version", change(func(h *packet) { h.header.GSOType = frame.GSOTCPv6 }), vswitch.InDropped{Offload: 1}},
		{"no segment size", change(func(h *packet) { h.header.GSOSize = 0 }), vswitch.InDropped{Offload: 1}},
		{"checksum offset", change(func(h *packet) { h.header.CsumOffset-- }), vswitch.InDropped{Offload: 1}},
		{"checksum elsewhere", change(func(h *packet) { h.header.CsumStart = 65535 }), vswitch.InDropped{Offload: 1}},
		{"no checksum", change(func(h *packet) { h.header.Flags = 0 }), vswitch.InDropped{Offload: 1}},
		{"cut off", change(func(h *packet) { h.data = h.data[:40] }), vswitch.InDropped{Offload: 1}},
		{"too short for IP", change(func(h *packet) { h.data = h.data[:14] }), vswitch.InDropped{Offload: 1}},
		{"segments too long", change(func(h *packet) { h.header.GSOSize = 1514 - 54 + 1 }), vswitch.InDropped{Giant: 1}},
		{"longer than any", packet{good.header, append(slices.Clone(good.data), make([]byte, 65536)...)}, vswitch.InDropped{Giant: 1}},
	} {
		before := counts(t, sw, 1).In
		for range 2 {
			inject(sw, 1, test.send)
		}
		in := counts(t, sw, 1).In
		want := before.Dropped
		for range 2 {
			want.Empty += test.want.Empty
			want.Runt += test.want.Runt
			want.Giant += test.want.Giant
			want.Offload += test.want.Offload
		}
		if in.Dropped != want || in.Frames != before.Frames+2 {
			t.Errorf("%s: %+v, want %+v", test.name, in.Dropped, want)
		}
	}
	if got := b.received(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

// Fields of a header that mean nothing for its frame are not passed on.
func TestOffloadUnusedFields(t *testing.T) {
	sw, b := mirrored(t)
	sum := segment(frame.Broadcast(), macA, false, 1, payload(400), 1400)
	odd := sum
	odd.header.HdrLen, odd.header.GSOSize = 1, 2
	inject(sw, 1, odd, packet{frame.VNetHeader{HdrLen: 5, GSOSize: 6, CsumStart: 7, CsumOffset: 8}, ordinary(sum)[0]})
	done := packet{data: ordinary(sum)[0]}
	if got := b.received(); !equal(got, []packet{sum, done, sum, done}) { // in the VLAN, and mirrored
		t.Errorf("%+v", got)
	}
}
