// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vswitch"
)

// A datagramLink takes and gives datagrams together, as a tap device does.
type datagramLink struct{ link.Link }

func (l datagramLink) Caps() link.Caps {
	c := l.Link.Caps()
	c.Offload |= link.OffloadUSO
	return c
}

// datagramPort attaches a link with or without USO, and returns its other end.
func datagramPort(t *testing.T, sw *vswitch.Switch, port int, uso bool) link.Link {
	t.Helper()
	a, b := linktest.Pipe(512)
	if uso {
		b = datagramLink{b}
	}
	if _, err := sw.AttachLink(b, vswitch.LinkConfig{Port: port}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// datagrams returns datagrams of UDP that came together.
func datagrams(dst, src frame.MAC, payload, size int) packet {
	f := make([]byte, 42+payload)
	frame.PutHeader(f, dst, src, frame.EtherTypeIPv4)
	copy(f[14:], []byte{0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x30, 0x39, 0, 53})
	binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
	binary.BigEndian.PutUint16(f[24:], ^ones(f[14:34]))
	binary.BigEndian.PutUint16(f[38:], uint16(8+payload))
	for i := range payload {
		f[42+i] = byte(i * 3)
	}
	return packet{frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOUDP, HdrLen: 42, GSOSize: uint16(size), CsumStart: 34, CsumOffset: 6,
	}, f}
}

// nextDatagrams receives one frame with its metadata.
func nextDatagrams(t *testing.T, l link.Link) packet {
	t.Helper()
	buf, sizes, headers := make([]byte, 1<<16), make([]int, 1), make([]frame.VNetHeader, 1)
	if _, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes, Headers: headers, USO: true}); err != nil {
		t.Fatal(err)
	}
	return packet{headers[0], buf[:sizes[0]]}
}

// TestUSO: datagrams that came together go on so to ports that take them, with a tag
// added on the way, and one by one if one of the ports does not.
func TestUSO(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518})
	defer sw.Close()
	in, together, apart := datagramPort(t, sw, 1, true), datagramPort(t, sw, 2, true), datagramPort(t, sw, 3, false)
	send := func(l link.Link, p packet) {
		t.Helper()
		if n, _, err := l.Send(link.Tx{Frames: [][]byte{p.data}, Headers: []frame.VNetHeader{p.header}}); n != 1 || err != nil {
			t.Fatal(err)
		}
	}
	one := func(l link.Link, p packet) {
		t.Helper()
		for i, want := range gso.Segments(p.header, p.data) {
			if got := nextDatagrams(t, l); got.header.Partial() || !bytes.Equal(got.data, want) {
				t.Fatalf("datagram %d: %+v % x, want % x", i, got.header, got.data, want)
			}
		}
	}
	// Where they are, is not known: flooded, also to the port without USO.
	p := datagrams(macB, macA, 5000, 1000)
	send(in, p)
	one(together, p)
	one(apart, p)
	// Known from here on.
	hello := packet{data: slices.Concat(macA[:], macB[:], []byte{0x88, 0xb5}, make([]byte, 46))}
	send(together, hello)
	if got := nextDatagrams(t, in); !bytes.Equal(got.data, hello.data) {
		t.Fatalf("% x", got.data)
	}
	p = datagrams(macB, macA, 60000, 1400)
	send(in, p)
	if got := nextDatagrams(t, together); got.header != p.header || !bytes.Equal(got.data, p.data) {
		t.Errorf("%d bytes with %+v", len(got.data), got.header)
	}
	// What breaks the bounds is dropped where it came in.
	for _, bad := range []packet{
		datagrams(macB, macA, 5000, 7), datagrams(macB, macA, 5000, 19), datagrams(macB, macA, 5000, 1500),
		{frame.VNetHeader{Flags: 1, GSOType: frame.GSOUDP, GSOSize: 1000, CsumStart: 34, CsumOffset: 16}, p.data},
	} {
		send(in, bad)
	}
	// Behind this one, all of them are counted.
	last := packet{data: testFrame(frame.Broadcast(), macA, 60, 1)}
	send(in, last)
	if got := nextDatagrams(t, apart); !bytes.Equal(got.data, last.data) {
		t.Errorf("% x", got.data)
	}
	want := vswitch.InDropped{Segments: 2, Giant: 1, Offload: 1}
	if got := counts(t, sw, 1).In; got.Dropped != want || got.GSOFrames != 1 || got.Segments != 5 {
		t.Errorf("%+v", got)
	}
}

// TestUSOTagged: the metadata of datagrams that leave with a tag is for the frame with
// the tag.
func TestUSOTagged(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{
		1: {VLAN: 7}, 2: {Tagged: []uint16{7}},
	}})
	defer sw.Close()
	in, trunk := datagramPort(t, sw, 1, true), datagramPort(t, sw, 2, true)
	p := datagrams(macB, macA, 5000, 1000)
	if n, _, err := in.Send(link.Tx{Frames: [][]byte{p.data}, Headers: []frame.VNetHeader{p.header}}); n != 1 || err != nil {
		t.Fatal(err)
	}
	want := withTag(p, 7)
	got := nextDatagrams(t, trunk)
	if got.header != want.header || !bytes.Equal(got.data, want.data) {
		t.Errorf("%+v, want %+v", got.header, want.header)
	}
	if _, err := gso.AcceptUSO(got.header, got.data, len(got.data)); err != nil {
		t.Error(err)
	}
}

// TestUSOFromConn: a program writes datagrams together on a connection in process, to
// a port that takes them and to one that does not, and reads them one by one.
func TestUSOFromConn(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518})
	defer sw.Close()
	a, b := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2))
	p := datagrams(macB, macA, 5000, 1000)
	a.send(p)
	for i, want := range gso.Segments(p.header, p.data) {
		if got := b.next(); got.header.Partial() || !bytes.Equal(got.data, want) {
			t.Fatalf("datagram %d: %+v % x, want % x", i, got.header, got.data, want)
		}
	}
}
