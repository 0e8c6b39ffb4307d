// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A frame with a priority tag, of VLAN 0, is for the host as one without; a frame
// of another VLAN is not.
func TestPriorityTag(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Hub: true}) // tags pass unchanged
	defer sw.Close()
	attach := func() *vde.Conn {
		c, err := sw.Attach()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	h, err := NewHost(attach(), HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	c := attach()
	defer c.Close()
	sender := frame.MAC{2, 0, 0, 0, 0, 7}
	// ask sends an ARP request with a number in its sender's address and with tags,
	// in a frame of n bytes.
	ask := func(number byte, n int, tags ...byte) {
		t.Helper()
		f := frame.AppendHeader(nil, frame.Broadcast(), sender, frame.EtherTypeARP)
		f = append(f[:12:12], append(tags, f[12:]...)...)
		f = append(f, 0, 1, 8, 0, 6, 4, 0, 1)
		f = append(append(f, sender[:]...), 10, 0, 0, number)
		f = append(f, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1)
		f = append(f, make([]byte, n-len(f))...)
		if _, err := c.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	ask(100, 60, 0x81, 0, 0, 5)                // of another VLAN
	ask(101, 60, 0x81, 0, 0, 0, 0x81, 0, 0, 5) // and behind a priority tag
	ask(1+1, 60, 0x81, 0, 0xe0, 0)
	ask(2+1, 1000, 0x81, 0, 0, 0) // longer than what is copied
	ask(3+1, 60)
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2000)
	for number := byte(2); number <= 4; {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		f, err := frame.Parse(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		if p := f.Payload(); f.EtherType() != frame.EtherTypeARP || f.Dst() != sender || p[7] != 2 {
			continue // what a host announces of its own accord
		} else if p[27] != number || f.HeaderLen() != frame.HeaderLen {
			t.Fatalf("an answer to number %d, want one to %d, without a tag: % x", p[27], number, buf[:n])
		}
		number++
	}
}

func TestWithoutPriority(t *testing.T) {
	const addresses = "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02"
	partial := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 58, GSOSize: 100, CsumStart: 38, CsumOffset: 16}
	moved := partial
	moved.HdrLen, moved.CsumStart = 54, 34
	for _, test := range []struct {
		in, want string
		h, moved frame.VNetHeader
	}{
		{addresses + "\x08\x00E", addresses + "\x08\x00E", partial, partial},
		{addresses + "\x81\x00\xe0\x00\x08\x00E", addresses + "\x08\x00E", partial, moved},
		{addresses + "\x81\x00\x10\x00\x08\x00E", addresses + "\x08\x00E", frame.VNetHeader{Flags: frame.VNetDataValid}, frame.VNetHeader{Flags: frame.VNetDataValid}},
		{addresses + "\x81\x00\x00\x05\x08\x00E", addresses + "\x81\x00\x00\x05\x08\x00E", partial, partial},
		{addresses + "\x88\xa8\x00\x00\x08\x00E", addresses + "\x88\xa8\x00\x00\x08\x00E", partial, partial},
		{addresses + "\x81\x00\x00\x00\x81\x00\x00\x00\x08\x00", addresses + "\x81\x00\x00\x00\x08\x00", frame.VNetHeader{}, frame.VNetHeader{}},
	} {
		got, h := withoutPriority([]byte(test.in), test.h)
		if string(got) != test.want || h != test.moved {
			t.Errorf("%x: %x %+v, want %x %+v", test.in, got, h, test.want, test.moved)
		}
	}
}

// The checksum of what a tunnel carries is completed, because the stack, which looks
// at the outer headers only, would hand it on as it is.
func TestNestedChecksum(t *testing.T) {
	f := make([]byte, frame.HeaderLen, 200)
	frame.PutHeader(f, frame.MAC{2, 1}, frame.MAC{2, 2}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0, 72, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	ip := header.IPv4(f[frame.HeaderLen:])
	ip.SetChecksum(^ip.CalculateChecksum())
	f = append(f, 0xc0, 0, 0x12, 0xb5, 0, 52, 0, 0)
	start := len(f) + 14
	f = append(f, bytes.Repeat([]byte{0x12, 0x34}, 22)...)
	h := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: uint16(start), CsumOffset: 6}
	d := &delivery{r: &run{alone: true}}
	before := bytes.Clone(f)
	if d.trustChecksum(h, f) {
		t.Error("the outer checksum is not verified")
	}
	if bytes.Equal(f[start+6:start+8], before[start+6:start+8]) {
		t.Error("the inner checksum was not completed")
	}
	copy(before[start+6:], f[start+6:start+8])
	if !bytes.Equal(f, before) {
		t.Error("more than the checksum changed")
	}
	h.CsumStart = frame.HeaderLen + 20
	before = bytes.Clone(f)
	if !d.trustChecksum(h, f) || !bytes.Equal(f, before) {
		t.Error("the outer checksum, which the stack need not verify, is not trusted or was completed")
	}
}
