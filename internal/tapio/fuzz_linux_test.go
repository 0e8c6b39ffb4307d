// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tapio_test

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/tapio"
)

// tcp4 is a segment of TCP over IPv4 with 100 bytes of payload, with the sum of the
// pseudo-header for a checksum.
var tcp4 = "0200000000020200000000010800" + "4500008c123440004006000a0a0000010a000002" +
	"3039005000000001000000015018ffff01f60000" + strings.Repeat("5a", 100)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// TestParse reads what the kernel gives.
func TestParse(t *testing.T) {
	f := unhex(t, tcp4)
	needs := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: 34, CsumOffset: 16}
	super := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 40, CsumStart: 34, CsumOffset: 16}
	hint := super
	hint.HdrLen = 130
	small := super
	small.GSOSize = 7
	ecn := super
	ecn.GSOType |= 0x80
	head := make([]byte, frame.VNetHeaderLen)
	for _, test := range []struct {
		name  string
		h     frame.VNetHeader
		n     int // bytes read
		size  int
		want  frame.VNetHeader
		whole bool
	}{
		{"datagrams of what is TCP", frame.VNetHeader{Flags: needs.Flags, GSOType: frame.GSOUDP, GSOSize: 40, CsumStart: 34, CsumOffset: 6}, 10 + len(f), 1, frame.VNetHeader{}, true},
		{"ordinary", frame.VNetHeader{}, 10 + len(f), len(f), frame.VNetHeader{}, true},
		{"verified", frame.VNetHeader{Flags: frame.VNetDataValid}, 10 + len(f), len(f), frame.VNetHeader{Flags: frame.VNetDataValid}, true},
		{"partial checksum", needs, 10 + len(f), len(f), needs, true},
		{"GSO", super, 10 + len(f), len(f), super, true},
		{"header length is a hint", hint, 10 + len(f), len(f), super, true},
		{"cut off", super, 10 + 5000, 5000, frame.VNetHeader{}, true},
		{"unknown segmentation", ecn, 10 + len(f), 1, frame.VNetHeader{}, true},
		{"short segments", small, 10 + len(f), len(f), small, false},
		{"header alone", frame.VNetHeader{}, 10, 1, frame.VNetHeader{}, true},
		{"less than a header", frame.VNetHeader{}, 9, 1, frame.VNetHeader{}, true},
	} {
		test.h.Put(head)
		if size, h, whole := tapio.Parse(head, f, test.n, true); size != test.size || h != test.want || whole != test.whole {
			t.Errorf("%s: %d, %+v, %v", test.name, size, h, whole)
		}
	}
	small.Put(head)
	tiny := append(unhex(t, tcp4)[:54], make([]byte, 2000)...)
	binary.BigEndian.PutUint16(tiny[16:], uint16(len(tiny)-14))
	if size, h, whole := tapio.Parse(head, tiny, 10+len(tiny), true); size != 1 || !whole {
		t.Errorf("short segments without end: %d, %+v, %v", size, h, whole)
	}
	// More segments than a port of a switch takes, which a kernel whose peer has a
	// small MTU makes.
	long := append(unhex(t, tcp4)[:54], make([]byte, 50_000)...)
	binary.BigEndian.PutUint16(long[16:], uint16(len(long)-14))
	super.Put(head)
	if size, h, whole := tapio.Parse(head, long, 10+len(long), true); size != len(long) || whole || gso.Count(h, long) != 1250 {
		t.Errorf("%d, %+v, %v", size, h, whole)
	}
}

// FuzzParse: whatever comes is a frame whose metadata has been checked, or one that
// has to be segmented at once into a bounded number of frames, or no frame.
func FuzzParse(f *testing.F) {
	head := make([]byte, frame.VNetHeaderLen)
	for _, h := range []frame.VNetHeader{
		{}, {Flags: 1, CsumStart: 34, CsumOffset: 16}, {Flags: 2},
		{Flags: 1, GSOType: 1, HdrLen: 54, GSOSize: 40, CsumStart: 34, CsumOffset: 16},
		{Flags: 1, GSOType: 1, HdrLen: 54, GSOSize: 8, CsumStart: 34, CsumOffset: 16},
		{Flags: 1, GSOType: 5, HdrLen: 54, GSOSize: 8, CsumStart: 34, CsumOffset: 6},
	} {
		h.Put(head)
		f.Add(append(head[:len(head):len(head)], unhex(f, tcp4)...), 2000, false)
		f.Add(append(head[:len(head):len(head)], unhex(f, tcp4)...), 60, true)
	}
	frame.VNetHeader{Flags: 1, GSOType: frame.GSOUDP, HdrLen: 42, GSOSize: 40, CsumStart: 34, CsumOffset: 6}.Put(head)
	udp := unhex(f, "0200000000020200000000010800"+"450000803123400040110000"+"0a0000010a000002"+"30390050006c01f6"+strings.Repeat("5a", 100))
	f.Add(append(head[:len(head):len(head)], udp...), 2000, false)
	f.Add(append(head[:len(head):len(head)], udp...), 2000, true)
	f.Fuzz(func(t *testing.T, d []byte, room int, uso bool) {
		if room < 0 || room > 1<<16 {
			return
		}
		var head [frame.VNetHeaderLen]byte
		in := d[copy(head[:], d):]
		buf := make([]byte, room)
		copy(buf, in)
		size, h, whole := tapio.Parse(head[:], buf, len(d), uso)
		switch {
		case size == 1 && len(in) != 1:
			if !h.IsZero() || !whole {
				t.Fatalf("no frame: %+v, %v", h, whole)
			}
		case size > room:
			if size != len(in) || !h.IsZero() || !whole {
				t.Fatalf("cut off: %d, %+v, %v", size, h, whole)
			}
		case size != len(in):
			t.Fatalf("%d bytes of %d", size, len(in))
		case whole:
			if accepted, err := gso.AcceptUSO(h, in, len(in)); err != nil || accepted != h || h.GSOType == frame.GSOUDP && !uso {
				t.Fatalf("%+v: %+v, %v", h, accepted, err)
			}
		default:
			total := 0
			for _, s := range gso.Segments(h, in) {
				total += len(s) - int(h.HdrLen)
			}
			if n := gso.Count(h, in); n > max(len(in)/frame.MinGSOSize, frame.MaxGSOSegments) || total != len(in)-int(h.HdrLen) {
				t.Fatalf("%+v: %d segments with %d bytes", h, n, total)
			}
		}
	})
}
