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

// FuzzOffload lets anything be said about anything: what Check lets through must
// come out as frames that are right in every respect.
func FuzzOffload(f *testing.F) {
	for _, e := range examples {
		b := make([]byte, frame.VNetHeaderLen)
		e.o.Put(b)
		f.Add(append(b, unhex(f, e.in)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := frame.ParseVNetHeader(b)
		if err != nil {
			return
		}
		in := b[frame.VNetHeaderLen:]
		given := o
		if o, err = gso.Accept(o, in, len(in)); err != nil {
			return
		}
		checkAccepted(t, given, o, in)
		if o.GSOType == frame.GSONone {
			checkFinished(t, o, in)
			return
		}
		checkSegments(t, o, in)
	})
}

// checkAccepted checks what Accept made of the header given of in.
func checkAccepted(t *testing.T, given, o frame.VNetHeader, in []byte) {
	again, err := gso.Accept(o, in, len(in))
	if err != nil || again != o {
		t.Fatalf("accepted %+v, and then not: %+v, %v", o, again, err)
	}
	given.HdrLen = o.HdrLen // a hint
	if o.GSOType == frame.GSONone {
		given.GSOSize = 0
	}
	if o.Flags&frame.VNetNeedsChecksum == 0 {
		given.CsumStart, given.CsumOffset = 0, 0
	}
	if given != o {
		t.Fatalf("%+v became %+v", given, o)
	}
	if n := gso.Count(o, in); n < 1 || n > frame.MaxGSOSegments {
		t.Fatalf("%d frames", n)
	}
}

// checkFinished compares what Finish does with the slow sum.
func checkFinished(t *testing.T, o frame.VNetHeader, in []byte) {
	out := bytes.Clone(in)
	if o.Flags&frame.VNetNeedsChecksum != 0 && int(o.CsumStart) != l4At(out) {
		checkNested(t, o, out)
		return
	}
	if o.Flags&frame.VNetNeedsChecksum != 0 {
		// What is there becomes the sum of the pseudo-header, as it should be.
		l4 := out[o.CsumStart:][:l4Len(out)]
		pseudo := pseudoHeader(out, len(l4))
		binary.BigEndian.PutUint16(l4[o.CsumOffset:], slowSum(pseudo))
	}
	before := bytes.Clone(out)
	gso.Finish(o, out)
	if o.Flags&frame.VNetNeedsChecksum == 0 {
		if !bytes.Equal(out, in) {
			t.Fatal("changed a frame that was finished")
		}
		return
	}
	at := int(o.CsumStart) + int(o.CsumOffset)
	l4 := out[o.CsumStart:][:l4Len(out)]
	if slowSum(pseudoHeader(out, len(l4)), l4) != 0xffff {
		t.Fatalf("wrong checksum: % x", out)
	}
	if o.CsumOffset == 6 && out[at] == 0 && out[at+1] == 0 {
		t.Fatal("UDP without a checksum")
	}
	copy(before[at:], out[at:at+2])
	if !bytes.Equal(out, before) {
		t.Fatal("more than the checksum changed")
	}
}

// checkNested checks what Finish does where the checksum is of something further
// inside: it adds up what is there, up to the end of the packet.
func checkNested(t *testing.T, o frame.VNetHeader, f []byte) {
	before := bytes.Clone(f)
	gso.Finish(o, f)
	at, end := int(o.CsumStart)+int(o.CsumOffset), l4At(f)+l4Len(f)
	want := ^slowSum(before[o.CsumStart:end])
	if got := binary.BigEndian.Uint16(f[at:]); got != want && !(got == 0xffff && want == 0) {
		t.Fatalf("checksum %#04x, want %#04x", got, want)
	}
	copy(before[at:], f[at:at+2])
	if !bytes.Equal(f, before) {
		t.Fatal("more than the checksum changed")
	}
}

// l4At returns where what IP carries begins.
func l4At(f []byte) int {
	ip := ipOf(f)
	if ip[0]>>4 == 4 {
		return len(f) - len(ip) + int(ip[0]&15)*4
	}
	return len(f) - len(ip) + 40
}

// l4Len returns the length of what IP carries.
func l4Len(f []byte) int {
	ip := ipOf(f)
	if ip[0]>>4 == 4 {
		return int(binary.BigEndian.Uint16(ip[2:])) - int(ip[0]&15)*4
	}
	return int(binary.BigEndian.Uint16(ip[4:]))
}

func pseudoHeader(f []byte, n int) (p []byte) {
	ip := ipOf(f)
	if ip[0]>>4 == 4 {
		p = append(append(p, ip[12:20]...), 0, ip[9])
	} else {
		p = append(append(p, ip[8:40]...), 0, ip[6])
	}
	return append(p, byte(n>>8), byte(n))
}

// checkSegments checks each segment by itself and all of them together.
func checkSegments(t *testing.T, o frame.VNetHeader, in []byte) {
	all := segments(t, o, in)
	if len(all) != gso.Count(o, in) || len(all) == 0 {
		t.Fatalf("%d segments, Count said %d", len(all), gso.Count(o, in))
	}
	whole := in[o.HdrLen:]
	done := 0
	for i, seg := range all {
		last := i == len(all)-1
		ip, tcp, payload, err := verify(seg)
		if err != nil {
			t.Fatalf("segment %d: %v", i, err)
		}
		if len(seg) > int(o.HdrLen)+int(o.GSOSize) || len(seg) > gso.Longest(o, len(in)) ||
			len(seg) != int(o.HdrLen)+len(payload) || !last && len(payload) != int(o.GSOSize) {
			t.Fatalf("segment %d of %d: %d bytes, %d of them payload", i, len(all), len(seg), len(payload))
		}
		if !bytes.HasPrefix(whole[done:], payload) {
			t.Fatalf("segment %d: other payload", i)
		}
		// The headers, with all that may differ made equal.
		want := bytes.Clone(in[:o.HdrLen])
		wip := ipOf(want)
		wtcp := want[o.CsumStart:]
		if ip[0]>>4 == 4 {
			if id := binary.BigEndian.Uint16(wip[4:]) + uint16(i); binary.BigEndian.Uint16(ip[4:]) != id {
				t.Fatalf("segment %d: identification % x, want %x", i, ip[4:6], id)
			}
			copy(wip[2:6], ip[2:6])
			copy(wip[10:12], ip[10:12])
		} else {
			copy(wip[4:6], ip[4:6])
		}
		if seq := binary.BigEndian.Uint32(wtcp[4:]) + uint32(done); binary.BigEndian.Uint32(tcp[4:]) != seq {
			t.Fatalf("segment %d: sequence number % x, want %x", i, tcp[4:8], seq)
		}
		copy(wtcp[4:8], tcp[4:8])
		if i > 0 {
			wtcp[13] &^= 0x80
		}
		if !last {
			wtcp[13] &^= 0x09
		}
		copy(wtcp[16:18], tcp[16:18])
		if !bytes.Equal(seg[:o.HdrLen], want) {
			t.Fatalf("segment %d: headers % x, want % x", i, seg[:o.HdrLen], want)
		}
		done += len(payload)
	}
	if done != len(whole) {
		t.Fatalf("%d of %d bytes came out", done, len(whole))
	}
}
