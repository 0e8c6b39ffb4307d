// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// sum16 is the sum of RFC 1071, word by word.
func sum16(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		s += w
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// packet returns a frame with a TCP or UDP packet of which the checksum is partial,
// and where its headers begin.
func packet(v6 bool, proto byte, tags, payload, padding int) (f []byte, l4, field int) {
	f = append(f, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2)
	for range tags {
		f = append(f, 0x81, 0, 0, 7)
	}
	head, at := 20, 16
	if proto == 17 {
		head, at = 8, 6
	}
	size := head + payload
	pseudo := []byte{0, proto, byte(size >> 8), byte(size)}
	if v6 {
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(size))
		copy(ip[8:], "0123456789abcdefABCDEFGHIJKLMNOP")
		f = append(append(f, 0x86, 0xdd), ip...)
		pseudo = append(pseudo, ip[8:40]...)
	} else {
		ip := []byte{0x45, 0, byte((20 + size) >> 8), byte(20 + size), 0, 1, 0x40, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
		f = append(append(f, 0x08, 0), ip...)
		pseudo = append(pseudo, ip[12:20]...)
	}
	l4 = len(f)
	h := make([]byte, head)
	copy(h, []byte{0xc0, 1, 0, 80})
	if proto == 17 {
		binary.BigEndian.PutUint16(h[4:], uint16(size))
	} else {
		h[12] = 0x50
	}
	binary.BigEndian.PutUint16(h[at:], sum16(pseudo))
	f = append(f, h...)
	for i := range payload {
		f = append(f, byte(i*7+3))
	}
	return append(f, make([]byte, padding)...), l4, l4 + at
}

// TestPartial recognises partial checksums of each protocol, and completes them.
func TestPartial(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, proto := range []byte{6, 17} {
			for _, c := range [][3]int{{0, 0, 0}, {0, 1, 0}, {1, 100, 3}, {2, 1400, 0}} {
				f, l4, field := packet(v6, proto, c[0], c[1], c[2])
				h := gso.Partial(f)
				if want := (frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: uint16(l4), CsumOffset: uint16(field - l4)}); h != want {
					t.Errorf("v6 %v, protocol %d, %v: %+v, want %+v", v6, proto, c, h, want)
					continue
				}
				if err := gso.Check(h, f); err != nil {
					t.Errorf("v6 %v, protocol %d, %v: Check: %v", v6, proto, c, err)
				}
				pseudo := binary.BigEndian.Uint16(f[field:])
				gso.Finish(h, f)
				// The sum of a whole packet and its pseudo-header is all ones. The
				// partial checksum is the sum of the pseudo-header.
				end := len(f) - c[2]
				all := append(slices.Clone(f[l4:end]), make([]byte, (end-l4)%2)...)
				if got := sum16(append(all, byte(pseudo>>8), byte(pseudo))); got != 0xffff {
					t.Errorf("v6 %v, protocol %d, %v: the sum of the finished packet is %#x", v6, proto, c, got)
				}
				done := slices.Clone(f)
				if h := gso.Partial(f); h.Partial() {
					gso.Finish(h, f)
				}
				if !bytes.Equal(f, done) {
					t.Errorf("v6 %v, protocol %d, %v: finished twice, it changes", v6, proto, c)
				}
			}
		}
	}
}

// TestNotPartial leaves other frames alone: with other sums, without one, and what is
// not TCP or UDP in one piece.
func TestNotPartial(t *testing.T) {
	udp, _, field := packet(false, 17, 0, 20, 0)
	fragment := slices.Clone(udp)
	fragment[20] |= 0x20
	other := slices.Clone(udp)
	other[field]++
	none := slices.Clone(udp)
	none[field], none[field+1] = 0, 0
	icmp := slices.Clone(udp)
	icmp[23] = 1
	for name, f := range map[string][]byte{
		"fragment": fragment, "other": other, "none": none, "icmp": icmp,
		"cut": udp[:40], "short": udp[:14], "empty": nil,
	} {
		if h := gso.Partial(f); !h.IsZero() {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// FuzzPartial holds whatever is recognised to the rules of metadata, and completing it
// to being done once.
func FuzzPartial(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		for _, proto := range []byte{6, 17} {
			p, _, _ := packet(v6, proto, 1, 33, 2)
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h := gso.Partial(b)
		if h.IsZero() {
			return
		}
		if err := gso.Check(h, b); err != nil {
			t.Fatalf("%+v: %v", h, err)
		}
		gso.Finish(h, b)
		once := slices.Clone(b)
		if h := gso.Partial(b); !h.IsZero() {
			gso.Finish(h, b)
		}
		if !bytes.Equal(b, once) {
			t.Fatal("finished twice, it changes")
		}
	})
}
