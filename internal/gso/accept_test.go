// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// HdrLen is a hint. Linux writes there how much of a frame it has in one piece: more
// than the headers, or all of it.
func TestHeaderLengthIsHint(t *testing.T) {
	f4, f6 := unhex(t, super4), unhex(t, super6)
	for _, hint := range []uint16{0, 1, 14, 54, 65, 67, 128, 86, 1000, 65535} {
		for _, test := range []struct {
			o frame.VNetHeader
			f []byte
		}{{offload4, f4}, {offload6, f6}} {
			h := test.o
			h.HdrLen = hint
			got, err := gso.Accept(h, test.f, len(test.f))
			if err != nil || got != test.o {
				t.Errorf("hint %d: %+v, %v; want %+v", hint, got, err, test.o)
				continue
			}
			// What has not been normalized is cut the same way.
			want := segments(t, test.o, test.f)
			if n := gso.Count(h, test.f); n != len(want) {
				t.Errorf("hint %d: %d segments, want %d", hint, n, len(want))
			}
			var s gso.Segmenter
			s.Reset(h, test.f)
			for i, w := range want {
				dst := make([]byte, s.Size())
				if n, ok := s.Next(dst); !ok || !bytes.Equal(dst[:n], w) {
					t.Errorf("hint %d: segment %d is % x, want % x", hint, i, dst[:n], w)
				}
			}
		}
	}
}

// A GSO frame may not become more frames than the bound, nor frames with next to
// nothing in them.
func TestSegmentsBounded(t *testing.T) {
	long := func(size uint16, payload int) (frame.VNetHeader, []byte) {
		h := offload4
		h.GSOSize = size
		f := append(unhex(t, super4)[:h.HdrLen], make([]byte, payload)...)
		binary.BigEndian.PutUint16(f[16:], uint16(len(f)-frame.HeaderLen))
		return h, f
	}
	for _, test := range []struct {
		size    uint16
		payload int
		want    error
	}{
		{1, frame.MaxGSO - 66, gso.ErrSegments}, {1, 2, gso.ErrSegments}, {7, 8, gso.ErrSegments},
		{8, 8 * frame.MaxGSOSegments, nil}, {8, 8*frame.MaxGSOSegments + 1, gso.ErrSegments},
		{255, frame.MaxGSO - 66, gso.ErrSegments}, {256, frame.MaxGSO - 66, nil},
		{536, frame.MaxGSO - 66, nil}, {1448, frame.MaxGSO - 66, nil}, {65535, frame.MaxGSO - 66, nil},
	} {
		h, f := long(test.size, test.payload)
		if err := gso.Check(h, f); err != test.want {
			t.Errorf("%d bytes in segments of %d: %v, want %v", test.payload, test.size, err, test.want)
		}
		if n := gso.Count(h, f); test.want == nil && n > frame.MaxGSOSegments {
			t.Errorf("%d bytes in segments of %d: %d segments", test.payload, test.size, n)
		}
	}
}

// Up to eight tags may precede, of any kind.
func TestStackedTags(t *testing.T) {
	for tags := range 10 {
		f := unhex(t, super6)
		stack := append(bytes.Clone(f[:12]), bytes.Repeat([]byte{0x81, 0, 0, 5}, tags)...)
		if tags > 1 {
			copy(stack[12:], []byte{0x88, 0xa8})
		}
		if tags > 2 {
			copy(stack[16:], []byte{0x91, 0x00})
		}
		f = append(stack, f[16:]...)
		h := offload6
		h.HdrLen, h.CsumStart = h.HdrLen+uint16(4*tags)-4, h.CsumStart+uint16(4*tags)-4
		if err := gso.Check(h, f); (err == nil) != (tags <= 8) {
			t.Errorf("%d tags: %v", tags, err)
		}
		all := segments(t, h, f) // a switch may have added the ninth
		if len(all) != 2 {
			t.Errorf("%d tags: %d segments", tags, len(all))
		}
		for i, s := range all {
			if _, _, _, err := verify(s); err != nil || !bytes.Equal(s[:12+4*tags], stack) {
				t.Errorf("%d tags, segment %d: % x: %v", tags, i, s, err)
			}
		}
	}
}

// vxlan returns inner in VXLAN over UDP over IP, with the checksum of the outer UDP
// header left out, and where inner begins.
func vxlan(v6 bool, inner []byte) (f []byte, at int) {
	l4 := append([]byte{0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 42, 0}, inner...)
	binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	f = make([]byte, frame.HeaderLen)
	if v6 {
		frame.PutHeader(f, frame.MAC{2, 1}, frame.MAC{2, 2}, frame.EtherTypeIPv6)
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7], ip[8], ip[24] = 0x60, 17, 64, 0xfd, 0xfd
		binary.BigEndian.PutUint16(ip[4:], uint16(len(l4)))
		f = append(f, ip...)
	} else {
		frame.PutHeader(f, frame.MAC{2, 1}, frame.MAC{2, 2}, frame.EtherTypeIPv4)
		ip := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
		binary.BigEndian.PutUint16(ip[10:], ^slowSum(ip))
		f = append(f, ip...)
	}
	f = append(f, l4...)
	return f, len(f) - len(inner)
}

// The checksum of what VXLAN carries may be left to complete: Linux leaves it so.
func TestChecksumInTunnel(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for name, test := range map[string]struct {
			o  frame.VNetHeader
			in string
		}{"UDP": {offloadU, udp4}, "TCP": {frame.VNetHeader{Flags: needs, CsumStart: 34, CsumOffset: 16}, super4}} {
			inner := unhex(t, test.in)
			f, at := vxlan(v6, inner)
			f = append(f, 0xee, 0xee, 0xee) // padding, which is no part of it
			h := test.o
			h.CsumStart += uint16(at)
			h.HdrLen = 128
			got, err := gso.Accept(h, f, len(f))
			h.HdrLen = 0
			if err != nil || got != h {
				t.Errorf("%s: %+v, %v", name, got, err)
				continue
			}
			before := bytes.Clone(f)
			gso.Finish(got, f)
			if _, _, _, err := verify(f[at : len(f)-3]); err != nil {
				t.Errorf("%s: what came out of the tunnel: %v", name, err)
			}
			sum := int(h.CsumStart) + int(h.CsumOffset)
			copy(before[sum:], f[sum:sum+2])
			if !bytes.Equal(f, before) {
				t.Errorf("%s: more than the checksum changed", name)
			}
			for _, bad := range []frame.VNetHeader{
				{Flags: needs, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset - 1},
				{Flags: needs, CsumStart: uint16(len(f) - 4), CsumOffset: h.CsumOffset},
				{Flags: needs, CsumStart: 65535, CsumOffset: 16},
				{Flags: needs, CsumStart: 14, CsumOffset: 6},
				{Flags: needs, GSOType: frame.GSOTCPv4, GSOSize: 1000, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset},
			} {
				if err := gso.Check(bad, f); err == nil {
					t.Errorf("%s: accepted %+v", name, bad)
				}
			}
		}
	}
}
