// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
)

// A capture is a frame as seen on a wire, without FCS, and what is in it.
type capture struct {
	name      string
	hex       string
	dst, src  string
	typ       frame.EtherType
	tagged    bool
	vid       uint16
	prio      uint8
	drop      bool
	headerLen int
	payload   string // hexadecimal digits the payload begins with
}

var captures = []capture{
	{
		name: "ARP request, padded",
		hex: `ff ff ff ff ff ff 52 54 00 12 34 56 08 06
			00 01 08 00 06 04 00 01 52 54 00 12 34 56 0a 00 02 0f 00 00 00 00 00 00 0a 00 02 02
			00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00`,
		dst: "ff:ff:ff:ff:ff:ff", src: "52:54:00:12:34:56",
		typ: frame.EtherTypeARP, headerLen: 14, payload: "000108000604",
	},
	{
		name: "IPv4 ICMP echo request",
		hex: `52 55 0a 00 02 02 52 54 00 12 34 56 08 00
			45 00 00 1c be ef 40 00 40 01 63 e2 0a 00 02 0f 0a 00 02 02
			08 00 f7 fd 00 01 00 01`,
		dst: "52:55:0a:00:02:02", src: "52:54:00:12:34:56",
		typ: frame.EtherTypeIPv4, headerLen: 14, payload: "4500001c",
	},
	{
		name: "IPv6 neighbor solicitation",
		hex: `33 33 ff 00 00 01 02 42 ac 11 00 02 86 dd
			60 00 00 00 00 20 3a ff
			fe 80 00 00 00 00 00 00 00 42 ac ff fe 11 00 02
			ff 02 00 00 00 00 00 00 00 00 00 01 ff 00 00 01
			87 00 00 00 00 00 00 00 fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 01
			01 01 02 42 ac 11 00 02`,
		dst: "33:33:ff:00:00:01", src: "02:42:ac:11:00:02",
		typ: frame.EtherTypeIPv6, headerLen: 14, payload: "6000000000203aff",
	},
	{
		name: "802.1Q tag",
		hex: `00 1b 21 3c 9d f8 00 1b 21 36 c5 a0 81 00 b0 64 08 00
			45 00 00 14 00 00 40 00 40 00 7c e7 7f 00 00 01 7f 00 00 01`,
		dst: "00:1b:21:3c:9d:f8", src: "00:1b:21:36:c5:a0",
		typ: frame.EtherTypeIPv4, tagged: true, vid: 100, prio: 5, drop: true,
		headerLen: 18, payload: "45000014",
	},
	{
		name: "priority tag with nothing behind it",
		hex:  `00 1b 21 3c 9d f8 00 1b 21 36 c5 a0 81 00 e0 00 88 b5`,
		dst:  "00:1b:21:3c:9d:f8", src: "00:1b:21:36:c5:a0",
		typ: frame.EtherTypeExperimental, tagged: true, vid: 0, prio: 7,
		headerLen: 18,
	},
	{
		name: "QinQ, service and customer tag",
		hex: `00 1b 21 3c 9d f8 00 1b 21 36 c5 a0 88 a8 6f ff 81 00 00 0a 08 06
			00 01 08 00 06 04 00 02`,
		dst: "00:1b:21:3c:9d:f8", src: "00:1b:21:36:c5:a0",
		typ: frame.EtherTypeARP, tagged: true, vid: 4095, prio: 3,
		headerLen: 22, payload: "000108",
	},
	{
		name: "three tags, 802.3 length inside",
		hex: `01 80 c2 00 00 00 00 1c 0e 87 85 04
			88 a8 00 01 81 00 00 02 81 00 00 03 00 03 42 42 03`,
		dst: "01:80:c2:00:00:00", src: "00:1c:0e:87:85:04",
		typ: 3, tagged: true, vid: 1, headerLen: 26, payload: "424203",
	},
	{
		name: "spanning tree BPDU, LLC in an 802.3 length frame",
		hex: `01 80 c2 00 00 00 00 1c 0e 87 85 04 00 26 42 42 03
			00 00 00 00 00 80 64 00 1c 0e 87 78 00 00 00 00 04 80 64 00 1c 0e 87 85 00 80 04
			01 00 14 00 02 00 0f 00 00 00 00 00 00 00 00 00`,
		dst: "01:80:c2:00:00:00", src: "00:1c:0e:87:85:04",
		typ: 38, headerLen: 14, payload: "4242030000000000",
	},
	{
		name: "LLDP",
		hex: `01 80 c2 00 00 0e 00 01 30 f9 ad a0 88 cc
			02 07 04 00 01 30 f9 ad a0 04 04 05 31 2f 31 06 02 00 78 00 00`,
		dst: "01:80:c2:00:00:0e", src: "00:01:30:f9:ad:a0",
		typ: frame.EtherTypeLLDP, headerLen: 14, payload: "0207040001",
	},
	{
		name: "pre-standard service tag",
		hex:  `00 1b 21 3c 9d f8 00 1b 21 36 c5 a0 91 00 00 01 08 00`,
		dst:  "00:1b:21:3c:9d:f8", src: "00:1b:21:36:c5:a0",
		typ: frame.EtherTypeIPv4, tagged: true, vid: 1, headerLen: 18,
	},
	{
		name: "rarer service tags are types, not tags",
		hex:  `00 1b 21 3c 9d f8 00 1b 21 36 c5 a0 92 00 00 01 08 00`,
		dst:  "00:1b:21:3c:9d:f8", src: "00:1b:21:36:c5:a0",
		typ: 0x9200, headerLen: 14, payload: "00010800",
	},
	{
		name: "header only",
		hex:  `02 00 00 00 00 01 02 00 00 00 00 02 88 b5`,
		dst:  "02:00:00:00:00:01", src: "02:00:00:00:00:02",
		typ: frame.EtherTypeExperimental, headerLen: 14,
	},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	for _, c := range captures {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.hex)
			f, err := frame.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if len(f) != len(b) || &f[0] != &b[0] {
				t.Error("Parse did not return a view of its argument")
			}
			if got := f.Dst().String(); got != c.dst {
				t.Errorf("Dst = %s, want %s", got, c.dst)
			}
			if got := f.Src().String(); got != c.src {
				t.Errorf("Src = %s, want %s", got, c.src)
			}
			if got := f.EtherType(); got != c.typ {
				t.Errorf("EtherType = %v, want %v", got, c.typ)
			}
			tag, ok := f.Tag()
			if ok != c.tagged || tag.ID() != c.vid || tag.Priority() != c.prio || tag.DropEligible() != c.drop {
				t.Errorf("Tag = ID %d, priority %d, drop eligible %t, %t; want %d, %d, %t, %t",
					tag.ID(), tag.Priority(), tag.DropEligible(), ok, c.vid, c.prio, c.drop, c.tagged)
			}
			if got := f.HeaderLen(); got != c.headerLen {
				t.Errorf("HeaderLen = %d, want %d", got, c.headerLen)
			}
			p := f.Payload()
			if len(p) != len(b)-c.headerLen {
				t.Errorf("payload of %d bytes, want %d", len(p), len(b)-c.headerLen)
			}
			if got := hex.EncodeToString(p); !strings.HasPrefix(got, c.payload) {
				t.Errorf("payload %s, want it to begin with %s", got, c.payload)
			}
			if len(p) > 0 && &p[0] != &b[c.headerLen] {
				t.Error("payload does not share the frame's memory")
			}
		})
	}
}

// TestParseShort cuts every capture everywhere: inside the header and its tags
// Parse must refuse, from there on it must not.
func TestParseShort(t *testing.T) {
	for _, c := range captures {
		b := unhex(t, c.hex)
		for n := range len(b) + 1 {
			f, err := frame.Parse(b[:n:n])
			switch {
			case n < c.headerLen && (err != frame.ErrShort || f != nil):
				t.Errorf("%s: Parse of %d bytes = %v, %v; want nil, ErrShort", c.name, n, f, err)
			case n >= c.headerLen && (err != nil || f.HeaderLen() != c.headerLen):
				t.Errorf("%s: Parse of %d bytes: %v", c.name, n, err)
			}
		}
	}
	if _, err := frame.Parse(nil); err != frame.ErrShort {
		t.Errorf("Parse(nil): %v", err)
	}
}

// tagsOnly is the worst case for a parser: a frame of n bytes whose types all
// announce one more tag, except the last if closed.
func tagsOnly(n int, closed bool) []byte {
	b := make([]byte, n)
	last := 12
	for i := 12; i+2 <= n; i += frame.TagLen {
		b[i], b[i+1] = 0x81, 0x00
		last = i
	}
	if closed {
		b[last], b[last+1] = 0x08, 0x00
	}
	return b
}

func TestParseOnlyTags(t *testing.T) {
	const n = frame.DefaultMaxSize
	if _, err := frame.Parse(tagsOnly(n, false)); err != frame.ErrShort {
		t.Errorf("tags to the end: %v, want ErrShort", err)
	}
	f, err := frame.Parse(tagsOnly(n, true))
	if err != nil {
		t.Fatal(err)
	}
	if f.EtherType() != frame.EtherTypeIPv4 || f.HeaderLen() != n || len(f.Payload()) != 0 {
		t.Errorf("type %v behind %d bytes of header, want IPv4 behind %d", f.EtherType(), f.HeaderLen(), n)
	}
}

func TestHeader(t *testing.T) {
	dst, src := frame.Broadcast(), frame.MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	want := "ffffffffffff5254001234560806"

	b := append(make([]byte, frame.HeaderLen), 0xaa)
	frame.PutHeader(b, dst, src, frame.EtherTypeARP)
	if got := hex.EncodeToString(b); got != want+"aa" {
		t.Errorf("PutHeader wrote %s", got)
	}
	a := frame.AppendHeader([]byte{0xbb}, dst, src, frame.EtherTypeARP)
	if got := hex.EncodeToString(a); got != "bb"+want {
		t.Errorf("AppendHeader wrote %s", got)
	}

	short := make([]byte, frame.HeaderLen-1)
	defer func() {
		if recover() == nil {
			t.Error("PutHeader did not panic on 13 bytes")
		}
		for _, v := range short {
			if v != 0 {
				t.Fatal("PutHeader wrote before it panicked")
			}
		}
	}()
	frame.PutHeader(short, dst, src, frame.EtherTypeARP)
}

func TestTag(t *testing.T) {
	for v := range 1 << 16 {
		tag := frame.Tag(v)
		drop := 0
		if tag.DropEligible() {
			drop = 1
		}
		if tag.ID() > 4095 || tag.Priority() > 7 || int(tag.Priority())<<13|drop<<12|int(tag.ID()) != v {
			t.Fatalf("Tag(%#04x): ID %d, priority %d, drop eligible %d", v, tag.ID(), tag.Priority(), drop)
		}
	}
}

func TestEtherTypeString(t *testing.T) {
	for typ, want := range map[frame.EtherType]string{
		frame.EtherTypeIPv4:         "IPv4",
		frame.EtherTypeARP:          "ARP",
		frame.EtherTypeVLAN:         "VLAN",
		frame.EtherTypeIPv6:         "IPv6",
		frame.EtherTypeQinQ:         "QinQ",
		frame.EtherTypeExperimental: "Experimental",
		frame.EtherTypeLLDP:         "LLDP",
		0:                           "length 0",
		1500:                        "length 1500",
		1501:                        "0x05dd",
		0x0600:                      "0x0600",
		0x9abc:                      "0x9abc",
		0xffff:                      "0xffff",
	} {
		if got := typ.String(); got != want {
			t.Errorf("EtherType(%#04x).String() = %q, want %q", uint16(typ), got, want)
		}
	}
}

func TestFrameAllocs(t *testing.T) {
	plain, tagged := unhex(t, captures[0].hex), unhex(t, captures[5].hex)
	buf := make([]byte, frame.HeaderLen)
	var (
		macs [2]frame.MAC
		sum  int
	)
	allocs := testing.AllocsPerRun(100, func() {
		for _, b := range [2][]byte{plain, tagged} {
			f, err := frame.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			macs = [2]frame.MAC{f.Dst(), f.Src()}
			tag, _ := f.Tag()
			sum += f.HeaderLen() + len(f.Payload()) + int(f.EtherType()) + int(tag.ID())
		}
		if _, err := frame.Parse(plain[:13]); err != frame.ErrShort {
			t.Fatal(err)
		}
		frame.PutHeader(buf, macs[0], macs[1], frame.EtherTypeIPv4)
		buf = frame.AppendHeader(buf[:0], macs[0], macs[1], frame.EtherTypeIPv4)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}
