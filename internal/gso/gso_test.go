// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// An example is a frame with something left to finish, and what becomes of it. The
// expected bytes were not made by this package.
type example struct {
	name string
	o    frame.VNetHeader
	in   string
	out  []string
}

const (
	needs = frame.VNetNeedsChecksum
	valid = frame.VNetDataValid

	super4 = "020100000001020200000002080045000048fffe4000400626af0a0000010a000002" +
		"c0010050fffffff801020304809901f6143d00000101080a00000bb800000fa0" + "74686520717569636b2062726f776e20666f782e"
	super6 = "0201000000010202000000028100200586dd60012345001f063ffd000000000000000000000000000001fd000000000000000000000000000002" +
		"c0010050000003e801020304501801f6fa290000" + "74686520717569636b2062"
	udp4 = "02010000000102020000000208004500002100074000401126c30a0000010a000002" + "14e90035000d1421" + "7175657279"
)

var (
	offload4 = frame.VNetHeader{Flags: needs, GSOType: frame.GSOTCPv4, HdrLen: 66, GSOSize: 8, CsumStart: 34, CsumOffset: 16}
	offload6 = frame.VNetHeader{Flags: needs, GSOType: frame.GSOTCPv6, HdrLen: 78, GSOSize: 8, CsumStart: 58, CsumOffset: 16}
	offloadU = frame.VNetHeader{Flags: needs, CsumStart: 34, CsumOffset: 6}
)

var examples = []example{
	{
		// The sequence number and the identification wrap, CWR is on the first
		// segment only, FIN and PSH on the last.
		"TCP over IPv4", offload4, super4,
		[]string{
			"02010000000102020000000208004500003cfffe4000400626bb0a0000010a000002" +
				"c0010050fffffff801020304809001f6cc3200000101080a00000bb800000fa0" + "7468652071756963",
			"02010000000102020000000208004500003cffff4000400626ba0a0000010a000002" +
				"c00100500000000001020304801001f6d5e200000101080a00000bb800000fa0" + "6b2062726f776e20",
			"02010000000102020000000208004500003800004000400626be0a0000010a000002" +
				"c00100500000000801020304801901f6a26200000101080a00000bb800000fa0" + "666f782e",
		},
	},
	{
		"TCP over IPv6 in a VLAN", offload6, super6,
		[]string{
			"0201000000010202000000028100200586dd60012345001c063ffd000000000000000000000000000001fd000000000000000000000000000002" +
				"c0010050000003e801020304501001f637310000" + "7468652071756963",
			"0201000000010202000000028100200586dd600123450017063ffd000000000000000000000000000001fd000000000000000000000000000002" +
				"c0010050000003f001020304501801f61e670000" + "6b2062",
		},
	},
	{
		"UDP", offloadU, udp4,
		[]string{"02010000000102020000000208004500002100074000401126c30a0000010a00000214e90035000d86cb" + "7175657279"},
	},
	{
		"UDP with padding", offloadU, udp4 + "0000ff",
		[]string{"02010000000102020000000208004500002100074000401126c30a0000010a00000214e90035000d86cb" + "7175657279" + "0000ff"},
	},
	{
		"UDP whose checksum is zero", offloadU,
		"02010000000102020000000208004500001e00074000401126c60a0000010a00000214e90035000a141e" + "d6b9",
		[]string{"02010000000102020000000208004500001e00074000401126c60a0000010a00000214e90035000affff" + "d6b9"},
	},
	{"nothing to do", frame.VNetHeader{Flags: valid}, "0201", []string{"0201"}},
}

func TestExamples(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			f := unhex(t, e.in)
			if err := gso.Check(e.o, f); err != nil {
				t.Fatal(err)
			}
			if n := gso.Count(e.o, f); n != len(e.out) {
				t.Errorf("Count: %d, want %d", n, len(e.out))
			}
			got := [][]byte{f}
			if e.o.GSOType == frame.GSONone {
				gso.Finish(e.o, f)
			} else {
				got = segments(t, e.o, f)
				if !bytes.Equal(f, unhex(t, e.in)) {
					t.Error("the frame was modified")
				}
			}
			for i, g := range got {
				if i >= len(e.out) || !bytes.Equal(g, unhex(t, e.out[i])) {
					t.Errorf("frame %d:\ngot  %x\nwant %s", i, g, e.out[min(i, len(e.out)-1)])
				}
			}
			if n := gso.Longest(e.o, len(f)); n != len(got[0]) {
				t.Errorf("Longest: %d, want %d", n, len(got[0]))
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	// patched returns the bytes of a frame, with others at an offset.
	patched := func(s string, at int, with ...byte) []byte {
		f := unhex(t, s)
		copy(f[at:], with)
		return f
	}
	f4, f6, fU := unhex(t, super4), unhex(t, super6), unhex(t, udp4)
	with := func(o frame.VNetHeader, change func(*frame.VNetHeader)) frame.VNetHeader {
		change(&o)
		return o
	}
	for name, test := range map[string]struct {
		o frame.VNetHeader
		f []byte
	}{
		"unknown flags":               {frame.VNetHeader{Flags: 4}, f4},
		"an unknown kind":             {with(offload4, func(o *frame.VNetHeader) { o.GSOType = 3 }), f4},
		"ECN as a kind":               {with(offload4, func(o *frame.VNetHeader) { o.GSOType |= 0x80 }), f4},
		"no checksum to complete":     {with(offload4, func(o *frame.VNetHeader) { o.Flags = 0 }), f4},
		"only verified":               {with(offload4, func(o *frame.VNetHeader) { o.Flags = valid }), f4},
		"the other version, 4":        {with(offload4, func(o *frame.VNetHeader) { o.GSOType = frame.GSOTCPv6 }), f4},
		"the other version, 6":        {with(offload6, func(o *frame.VNetHeader) { o.GSOType = frame.GSOTCPv4 }), f6},
		"segments of nothing":         {with(offload4, func(o *frame.VNetHeader) { o.GSOSize = 0 }), f4},
		"short segments":              {with(offload4, func(o *frame.VNetHeader) { o.GSOSize = frame.MinGSOSize - 1 }), f4},
		"a checksum elsewhere":        {with(offload4, func(o *frame.VNetHeader) { o.CsumOffset = 6 }), f4},
		"a sum from elsewhere":        {with(offload4, func(o *frame.VNetHeader) { o.CsumStart = 14 }), f4},
		"a sum far away":              {with(offloadU, func(o *frame.VNetHeader) { o.CsumStart, o.CsumOffset = 65535, 65535 }), fU},
		"UDP with TCP's checksum":     {with(offloadU, func(o *frame.VNetHeader) { o.CsumOffset = 16 }), fU},
		"UDP to segment":              {with(offloadU, func(o *frame.VNetHeader) { o.GSOType, o.HdrLen, o.GSOSize = frame.GSOTCPv4, 42, 2 }), fU},
		"UDP of another length":       {offloadU, patched(udp4, 38, 0, 14)},
		"a frame that is cut":         {offload4, f4[:len(f4)-1]},
		"headers only in part":        {offload4, f4[:60]},
		"no frame":                    {offload4, nil},
		"padding":                     {offload4, append(patched(super4, 0), 0)},
		"longer than any":             {offload4, make([]byte, frame.MaxGSO+1)},
		"ARP":                         {offload4, patched(super4, 12, 8, 6)},
		"another IP":                  {offload4, patched(super4, 14, 0x55)},
		"a short IP header":           {offload4, patched(super4, 14, 0x44)},
		"an IP header beyond the end": {offload4, patched(super4, 16, 0, 10)},
		"a first fragment":            {offload4, patched(super4, 20, 0x20)},
		"a last fragment":             {offload4, patched(super4, 20, 0, 1)},
		"ICMP":                        {offload4, patched(super4, 23, 1)},
		"a SYN":                       {offload4, patched(super4, 47, 2)},
		"a short TCP header":          {offload4, patched(super4, 46, 0x40)},
		"a TCP header beyond the end": {offload4, patched(super4[:2*66], 16, 0, 52, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 192, 1, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0)},
		"an extension header":         {offload6, patched(super6, 24, 0)},
		"IPv6 longer than the frame":  {offload6, patched(super6, 22, 0, 0x20)},
		"IPv6 of version 4":           {offload6, patched(super6, 18, 0x40)},
		"nine tags":                   {with(offload6, func(o *frame.VNetHeader) { o.CsumStart += 32 }), append(append(unhex(t, "020100000001020200000002"), bytes.Repeat([]byte{0x88, 0xa8, 0, 1}, 8)...), f6[12:]...)},
	} {
		if err := gso.Check(test.o, test.f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 3000)
	for n := range b {
		for i := range b[:n] {
			b[i] = byte(rng.Uint32())
		}
		if n%3 == 0 { // carries everywhere
			for i := range b[:n] {
				b[i] |= 0xfe
			}
		}
		if got, want := gso.Sum(b[:n]), slowSum(b[:n]); got != want {
			t.Fatalf("%d bytes: %#04x, want %#04x", n, got, want)
		}
	}
	for _, n := range []int{1, 7, 8, 64, 65, 1 << 16} {
		ones := bytes.Repeat([]byte{0xff}, n)
		if got, want := gso.Sum(ones), slowSum(ones); got != want {
			t.Errorf("%d ones: %#04x, want %#04x", n, got, want)
		}
	}
}

// TestNextCut gives segments to buffers of all lengths, and counts those that are left.
func TestNextCut(t *testing.T) {
	f := unhex(t, super4)
	want := segments(t, offload4, f)
	for _, room := range []int{0, 1, len(want[0]) - 1, len(want[0])} {
		var s gso.Segmenter
		if n, ok := s.NextCut(make([]byte, room)); n != 0 || ok || s.Left() != 0 {
			t.Fatalf("nothing was given: %d bytes, %v, %d left", n, ok, s.Left())
		}
		s.Reset(offload4, f)
		for i, w := range want {
			if s.Left() != len(want)-i {
				t.Errorf("%d left, want %d", s.Left(), len(want)-i)
			}
			dst := make([]byte, room)
			n, ok := s.NextCut(dst)
			if dst = dst[:min(n, room)]; n != len(w) || !ok || !bytes.Equal(dst, w[:len(dst)]) {
				t.Errorf("segment %d in %d bytes: %d, %v, % x", i, room, n, ok, dst)
			}
		}
		if n, ok := s.NextCut(make([]byte, room)); n != 0 || ok || s.Left() != 0 {
			t.Errorf("after the last: %d bytes, %v, %d left", n, ok, s.Left())
		}
	}
}

func TestNoAllocation(t *testing.T) {
	f, u := unhex(t, super4), unhex(t, udp4)
	dst := make([]byte, 128)
	var s gso.Segmenter
	if n := testing.AllocsPerRun(100, func() {
		if gso.Check(offload4, f) != nil || gso.Check(offload4, u) == nil {
			t.Fatal("wrong")
		}
		s.Reset(offload4, f)
		for _, ok := s.Next(dst); ok; _, ok = s.Next(dst) {
		}
		gso.Finish(offloadU, u)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
