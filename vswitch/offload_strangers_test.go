// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// A GSO frame that would become too many segments is dropped, and counted, before
// anything is made of it.
func TestSegmentsBounded(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: {Queue: 1 << 10}}})
	defer sw.Close()
	attach(t, sw, 1)
	c := attach(t, sw, 2)
	most := segment(frame.Broadcast(), macA, false, 1, payload(8*frame.MaxGSOSegments), 8)
	inject(sw, 1,
		segment(frame.Broadcast(), macA, false, 1, payload(65000), 1),
		segment(frame.Broadcast(), macA, true, 1, payload(65000), 7),
		segment(frame.Broadcast(), macA, false, 1, payload(8*frame.MaxGSOSegments+1), 8),
		segment(frame.Broadcast(), macA, false, 1, payload(65000), 253),
		most)
	in := counts(t, sw, 1).In
	if in.Dropped != (vswitch.InDropped{Segments: 4}) || in.GSOFrames != 1 || in.Segments != frame.MaxGSOSegments || in.Frames != 4+frame.MaxGSOSegments {
		t.Errorf("%+v", in)
	}
	if got := received(t, sw, c); !equal(plain(got...), plain(ordinary(most)...)) {
		t.Errorf("%d frames, want %d", len(got), frame.MaxGSOSegments)
	}
	checkAccounts(t, sw.Stats())
}

// Headers as Linux sends them: HdrLen is what it happens to have in one piece.
func TestHeaderLengthIsHint(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{3: {VLAN: vswitch.NoVLAN, Tagged: []uint16{0}}}})
	defer sw.Close()
	a, b, c := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2)), packetsOn(t, sw, attach(t, sw, 3))
	h := segment(frame.Broadcast(), macA, false, 1, payload(9000), 1400)
	for _, hint := range []uint16{0, 53, 55, 128, 9054, 65535} {
		for _, through := range []func(packet){func(h packet) { inject(sw, 1, h) }, func(h packet) { a.send(h) }} {
			given := h
			given.header.HdrLen = hint
			through(given)
			if got := b.received(); !equal(got, []packet{h}) {
				t.Errorf("hint %d: %+v, want %+v", hint, headersOf(got), h.header)
			}
			if got := c.received(); !equal(got, []packet{withTag(h, 0)}) {
				t.Errorf("hint %d, tagged: %+v, want %+v", hint, headersOf(got), withTag(h, 0).header)
			}
		}
	}
	if in := counts(t, sw, 1).In; in.Dropped.Sum() != 0 {
		t.Errorf("%+v", in.Dropped)
	}
}

func headersOf(frames []packet) (headers []frame.VNetHeader) {
	for _, f := range frames {
		headers = append(headers, f.header)
	}
	return headers
}

// The checksum of what VXLAN carries is completed for a port that takes ordinary
// frames, and stays open for one that takes partial ones.
func TestChecksumInTunnel(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	attach(t, sw, 1)
	inner := segment(macC, macB, false, 1, payload(400), 1400)
	outer := make([]byte, frame.HeaderLen, 2000)
	frame.PutHeader(outer, frame.Broadcast(), macA, frame.EtherTypeIPv4)
	n := len(inner.data)
	outer = append(outer, 0x45, 0, byte((36+n)>>8), byte(36+n), 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
		0xc0, 0, 0x12, 0xb5, byte((16+n)>>8), byte(16+n), 0, 0, 8, 0, 0, 0, 0, 0, 42, 0)
	at := len(outer)
	h := packet{inner.header, append(outer, inner.data...)}
	h.header.CsumStart += uint16(at)

	taking := packetsOn(t, sw, attach(t, sw, 2))
	inject(sw, 1, h)
	if got := taking.received(); !equal(got, []packet{h}) {
		t.Errorf("to a port that takes it partial: %+v", headersOf(got))
	}
	plainPort := attach(t, sw, 3)
	inject(sw, 1, h)
	got := received(t, sw, plainPort)
	if len(got) != 1 || !bytes.Equal(got[0][:at], h.data[:at]) {
		t.Fatalf("%x", got)
	}
	if _, _, err := payloadOf(packet{data: got[0][at:]}); err != nil {
		t.Errorf("out of the tunnel: %v", err)
	}
	tunnelGSO := h
	tunnelGSO.header.GSOType, tunnelGSO.header.GSOSize = frame.GSOTCPv4, 100
	inject(sw, 1, tunnelGSO)
	if in := counts(t, sw, 1).In; in.Dropped != (vswitch.InDropped{Offload: 1}) {
		t.Errorf("%+v", in.Dropped)
	}
	checkAccounts(t, sw.Stats())
}

// A third tag is no reason to refuse a partial frame, and one that the switch adds
// is none to lose its segments.
func TestThreeTags(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		1: {VLAN: 10}, 2: {VLAN: vswitch.NoVLAN, Tagged: []uint16{10}}, 3: {VLAN: vswitch.NoVLAN, Tagged: []uint16{10}},
	}})
	defer sw.Close()
	attach(t, sw, 1)
	h := segment(frame.Broadcast(), macA, false, 1, payload(9000), 1400)
	for range 3 {
		h = withTag(h, 5)
		h.data[12], h.data[13] = 0x88, 0xa8
	}
	b := packetsOn(t, sw, attach(t, sw, 2))
	inject(sw, 1, h)
	if got := b.received(); !equal(got, []packet{withTag(h, 10)}) {
		t.Errorf("%+v", headersOf(got))
	}
	c := attach(t, sw, 3)
	inject(sw, 1, h)
	if got := received(t, sw, c); len(got) != 7 {
		t.Errorf("%d segments, want 7", len(got))
	} else if want := withTag(h, 10).data[:30]; !slices.ContainsFunc(got, func(f []byte) bool { return bytes.Equal(f[:30], want) }) {
		t.Errorf("% x, want % x", got[0][:30], want)
	}
	if in := counts(t, sw, 1).In; in.Dropped.Sum() != 0 {
		t.Errorf("%+v", in.Dropped)
	}
}
