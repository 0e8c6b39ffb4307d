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

// datagrams returns datagrams of UDP that came together, with so many bytes of payload
// in all, behind so many VLAN tags.
func datagrams(v6 bool, tags, payload, size int) (frame.VNetHeader, []byte) {
	f := make([]byte, frame.HeaderLen, 200+payload)
	frame.PutHeader(f, frame.MAC{2, 1}, frame.MAC{2, 2}, frame.EtherTypeIPv4)
	if v6 {
		binary.BigEndian.PutUint16(f[12:], 0x86dd)
	}
	f = append(append(f[:12:12], bytes.Repeat([]byte{0x81, 0, 0, 5}, tags)...), f[12:14]...)
	ip := len(f)
	if v6 {
		f = append(f, 0x60, 0, 0, 0, 0, 0, 17, 64)
		f = append(f, bytes.Repeat([]byte{0xfd}, 32)...)
		binary.BigEndian.PutUint16(f[ip+4:], uint16(8+payload))
	} else {
		f = append(f, 0x45, 0, 0, 0, 0xff, 0xfe, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
		binary.BigEndian.PutUint16(f[ip+2:], uint16(28+payload))
		binary.BigEndian.PutUint16(f[ip+10:], ^slowSum(f[ip:]))
	}
	at := len(f)
	f = append(f, 0x30, 0x39, 0, 53, byte((8+payload)>>8), byte(8+payload), 0, 0)
	for i := range payload {
		f = append(f, byte(i*13))
	}
	h := frame.VNetHeader{
		Flags: needs, GSOType: frame.GSOUDP, HdrLen: uint16(at + 8), GSOSize: uint16(size),
		CsumStart: uint16(at), CsumOffset: 6,
	}
	return h, f
}

// checkDatagrams checks each datagram that f becomes, and all of them together.
func checkDatagrams(t *testing.T, h frame.VNetHeader, f []byte) {
	t.Helper()
	all := segments(t, h, f)
	if len(all) != gso.Count(h, f) || len(all) == 0 || len(all) > frame.MaxGSOSegments {
		t.Fatalf("%d datagrams, Count said %d", len(all), gso.Count(h, f))
	}
	rest := f[h.HdrLen:]
	for i, d := range all {
		ip, udp, payload, err := verify(d)
		if err != nil {
			t.Fatalf("datagram %d: %v", i, err)
		}
		if !bytes.HasPrefix(rest, payload) || len(d) > gso.Longest(h, len(f)) || len(d) != int(h.HdrLen)+len(payload) ||
			int(binary.BigEndian.Uint16(udp[4:])) != len(udp)+len(payload) || binary.BigEndian.Uint16(udp[6:]) == 0 {
			t.Fatalf("datagram %d: % x", i, d)
		}
		if i < len(all)-1 && len(payload) != int(h.GSOSize) {
			t.Fatalf("datagram %d has %d bytes", i, len(payload))
		}
		rest = rest[len(payload):]
		// All else is as it was.
		want := bytes.Clone(f[:h.HdrLen])
		wip := ipOf(want)
		if ip[0]>>4 == 4 {
			if id := binary.BigEndian.Uint16(wip[4:]) + uint16(i); binary.BigEndian.Uint16(ip[4:]) != id {
				t.Fatalf("datagram %d: identification % x, want %x", i, ip[4:6], id)
			}
			copy(wip[2:6], ip[2:6])
			copy(wip[10:12], ip[10:12])
		} else {
			copy(wip[4:6], ip[4:6])
		}
		copy(want[h.CsumStart+4:], udp[4:8])
		if !bytes.Equal(d[:h.HdrLen], want) {
			t.Fatalf("datagram %d: headers % x, want % x", i, d[:h.HdrLen], want)
		}
	}
	if len(rest) != 0 {
		t.Fatalf("%d bytes are missing", len(rest))
	}
}

// TestUSO segments datagrams that came together.
func TestUSO(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for tags := range 3 {
			for _, test := range []struct{ payload, size int }{{5000, 1472}, {1, 1000}, {2944, 1472}, {2945, 1472}, {65000, 508}, {2048, 8}} {
				h, f := datagrams(v6, tags, test.payload, test.size)
				hint := h
				hint.HdrLen = 200
				got, err := gso.AcceptUSO(hint, f, len(f))
				if err != nil || got != h {
					t.Fatalf("%v: %+v, %v", test, got, err)
				}
				before := bytes.Clone(f)
				checkDatagrams(t, h, f)
				if !bytes.Equal(f, before) {
					t.Fatal("the frame was changed")
				}
			}
		}
	}
	// Two datagrams, byte by byte. The checksum of the first is 0, which means that
	// there is none, so it is sent as 0xffff.
	h, f := datagrams(false, 0, 3, 2)
	h.GSOSize = 8
	f = append(f[:42], 0xbb, 0x6d, 1, 2, 3, 4, 5, 6, 7)
	copy(f[16:], []byte{0, 37})
	copy(f[38:], []byte{0, 17})
	binary.BigEndian.PutUint16(f[42:], 0)
	sum := slowSum([]byte{10, 0, 0, 1, 10, 0, 0, 2, 0, 17, 0, 16}, []byte{0x30, 0x39, 0, 53, 0, 16}, f[42:50])
	binary.BigEndian.PutUint16(f[42:], ^sum)
	all := segments(t, h, f)
	if len(all) != 2 || !bytes.Equal(all[0][38:42], []byte{0, 16, 0xff, 0xff}) || !bytes.Equal(all[1][42:], []byte{7}) {
		t.Errorf("% x", all)
	}
}

// TestUSORefused gives Accept and AcceptUSO what is wrong.
func TestUSORefused(t *testing.T) {
	h, f := datagrams(false, 0, 5000, 1472)
	if _, err := gso.Accept(h, f, len(f)); err == nil {
		t.Error("Accept takes what was not agreed to")
	}
	if err := gso.Check(h, f); err == nil {
		t.Error("Check takes what was not agreed to")
	}
	with := func(change func(h *frame.VNetHeader)) frame.VNetHeader {
		h := h
		change(&h)
		return h
	}
	for name, test := range map[string]struct {
		h    frame.VNetHeader
		want error
	}{
		"no checksum to complete": {with(func(h *frame.VNetHeader) { h.Flags = 0 }), nil},
		"the checksum of TCP":     {with(func(h *frame.VNetHeader) { h.CsumOffset = 16 }), nil},
		"checksum elsewhere":      {with(func(h *frame.VNetHeader) { h.CsumStart++ }), nil},
		"segments of TCP":         {with(func(h *frame.VNetHeader) { h.GSOType = frame.GSOTCPv4 }), nil},
		"fragments":               {with(func(h *frame.VNetHeader) { h.GSOType = 3 }), nil},
		"with ECN":                {with(func(h *frame.VNetHeader) { h.GSOType |= 0x80 }), nil},
		"no payload":              {with(func(h *frame.VNetHeader) { h.GSOSize = 0 }), nil},
		"short datagrams":         {with(func(h *frame.VNetHeader) { h.GSOSize = 7 }), gso.ErrSegments},
		"many datagrams":          {with(func(h *frame.VNetHeader) { h.GSOSize = 19 }), gso.ErrSegments},
	} {
		if _, err := gso.AcceptUSO(test.h, f, len(f)); err == nil || test.want != nil && err != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := gso.AcceptUSO(h, append(f, 0), len(f)+1); err == nil {
		t.Error("padding behind the payload")
	}
	o, tcp := offload4, unhex(t, super4)
	o.GSOType = frame.GSOUDP
	if _, err := gso.AcceptUSO(o, tcp, len(tcp)); err == nil {
		t.Error("datagrams of TCP")
	}
	// All that Accept takes, AcceptUSO takes.
	for _, e := range examples {
		in := unhex(t, e.in)
		a, err1 := gso.Accept(e.o, in, len(in))
		b, err2 := gso.AcceptUSO(e.o, in, len(in))
		if a != b || err1 != err2 {
			t.Errorf("%+v: %+v, %v; %+v, %v", e.o, a, err1, b, err2)
		}
	}
}

// FuzzUSO lets anything be said about datagrams.
func FuzzUSO(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		for _, tags := range []int{0, 2} {
			h, in := datagrams(v6, tags, 100, 30)
			b := make([]byte, frame.VNetHeaderLen)
			h.Put(b)
			f.Add(append(b, in...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := frame.ParseVNetHeader(b)
		if err != nil {
			return
		}
		h.GSOType = frame.GSOUDP
		in := b[frame.VNetHeaderLen:]
		if h, err = gso.AcceptUSO(h, in, len(in)); err != nil {
			return
		}
		checkDatagrams(t, h, in)
	})
}
