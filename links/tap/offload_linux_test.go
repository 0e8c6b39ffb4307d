// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
)

const needs = frame.VNetNeedsChecksum

// tcp returns a segment of TCP over IPv4 with a partial checksum, to be cut into
// segments with size bytes of payload each (0: it is one).
func tcp(payload, size int) (frame.VNetHeader, []byte) {
	f := make([]byte, 54+payload)
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	copy(f[14:], []byte{0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
	sum := 0x4500 + len(f) - 14 + 1 + 0x4000 + 0x4006 + 0x0a00 + 1 + 0x0a00 + 2
	binary.BigEndian.PutUint16(f[24:], ^uint16(sum>>16+sum&0xffff))
	copy(f[34:], []byte{0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0})
	sum = 0x0a00 + 1 + 0x0a00 + 2 + 6 + len(f) - 34
	binary.BigEndian.PutUint16(f[50:], uint16(sum>>16+sum&0xffff))
	for i := range payload {
		f[54+i] = byte(i * 7)
	}
	h := frame.VNetHeader{Flags: needs, CsumStart: 34, CsumOffset: 16}
	if size > 0 {
		h.GSOType, h.HdrLen, h.GSOSize = frame.GSOTCPv4, 54, uint16(size)
	}
	return h, f
}

// bytesOf returns a header and its frame, as a packet socket has them.
func bytesOf(h frame.VNetHeader, f []byte) []byte {
	b := make([]byte, frame.VNetHeaderLen, frame.VNetHeaderLen+len(f))
	h.Put(b)
	return append(b, f...)
}

// TestOffload has metadata cross between a link and the kernel as it is.
func TestOffload(t *testing.T) {
	ns := namespace(t)
	l := up(t, ns, "lan0")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", true)
	if o := l.Caps().Offload; !o.Takes(frame.VNetHeader{Flags: needs, GSOType: frame.GSOTCPv4}) {
		t.Fatalf("the kernel takes %v", o)
	}
	buf, sizes, headers := make([]byte, 1<<16), make([]int, 1), make([]frame.VNetHeader, 1)
	for _, test := range []struct{ payload, size int }{{100, 0}, {1000, 536}, {5000, 1448}, {65000, 1448}, {2048, 8}} {
		h, f := tcp(test.payload, test.size)
		if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}, Headers: []frame.VNetHeader{h}}); n != 1 || err != nil {
			t.Fatal(err)
		}
		got, err := p.Recv()
		if err != nil || len(got) < frame.VNetHeaderLen || !bytes.Equal(got[frame.VNetHeaderLen:], f) {
			t.Fatalf("%v: the kernel received %d bytes, %v", test, len(got), err)
		}
		// The header's length is a hint that only means something in a GSO frame.
		came, err := frame.ParseVNetHeader(got)
		if came, _ = gso.Accept(came, f, len(f)); err != nil || came != h {
			t.Errorf("%v: the kernel received %+v, %v, want %+v", test, came, err, h)
		}
		if err := p.Send(bytesOf(h, f)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes, Headers: headers}); err != nil || headers[0] != h || !bytes.Equal(buf[:sizes[0]], f) {
			t.Errorf("%v: %d bytes with %+v, %v, want %+v", test, sizes[0], headers[0], err, h)
		}
	}
}

// TestFinished has frames that the kernel left unfinished reach a receiver without
// Headers as ordinary ones.
func TestFinished(t *testing.T) {
	ns := namespace(t)
	l := up(t, ns, "lan0")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", true)
	for _, test := range []struct{ payload, size int }{{100, 0}, {5000, 1448}, {65000, 1448}, {60000, 100}} {
		h, f := tcp(test.payload, test.size)
		if err := p.Send(bytesOf(h, f)); err != nil {
			t.Fatal(err)
		}
		expectFinished(t, l, fmt.Sprint(test), h, f, nil)
	}
}

// expectFinished receives what a frame becomes.
func expectFinished(t *testing.T, l link.Link, name string, h frame.VNetHeader, f []byte, headers []frame.VNetHeader) {
	t.Helper()
	want := [][]byte{bytes.Clone(f)}
	if h.GSOType != frame.GSONone {
		want = gso.Segments(h, f)
	} else {
		gso.Finish(h, want[0])
	}
	bufs, sizes := [][]byte{make([]byte, 1<<16), make([]byte, 1<<16), make([]byte, 1<<16)}, make([]int, 3)
	for i := 0; i < len(want); {
		n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers})
		if err != nil || n > len(want)-i {
			t.Fatalf("%s: %d frames, %v; %d are to come", name, n, err, len(want)-i)
		}
		for k, size := range sizes[:n] {
			if !bytes.Equal(bufs[k][:size], want[i]) || headers != nil && !headers[k].IsZero() {
				t.Fatalf("%s: frame %d of %d: %x", name, i, len(want), bufs[k][:size])
			}
			i++
		}
	}
}

// TestManySegments: a GSO frame of more segments than others are allowed, which the
// kernel makes for a peer with a small MTU, comes segmented also with Headers. What
// is left at Close is counted.
func TestManySegments(t *testing.T) {
	ns := namespace(t)
	l := up(t, ns, "lan0")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", true)
	h, f := tcp(60000, 48)
	for range 2 {
		if err := p.Send(bytesOf(h, f)); err != nil {
			t.Fatal(err)
		}
	}
	expectFinished(t, l, "1250 segments", h, f, make([]frame.VNetHeader, 3))
	rx := link.Rx{Bufs: [][]byte{make([]byte, 1<<16), make([]byte, 60)}, Sizes: make([]int, 2), Headers: make([]frame.VNetHeader, 2)}
	if n, err := l.Recv(rx); n != 2 || err != nil || rx.Sizes[0] != 102 || rx.Sizes[1] != 102 {
		t.Errorf("%d frames of %v bytes, %v", n, rx.Sizes, err)
	}
	if n, err := l.Close(); n != 1248 || err != nil {
		t.Errorf("%d unread, %v, want 1248", n, err)
	}
}

// TestNextUser opens a persistent device without headers, as vde_plug does, after a
// link was closed: the kernel must not give it frames of 64 KiB.
func TestNextUser(t *testing.T) {
	ns := namespace(t)
	ip(t, ns, "ip tuntap add dev kept mode tap", "ip link set dev kept up")
	l, err := open(t, ns, tap.Driver{}, "kept", link.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Close(); err != nil {
		t.Fatal(err)
	}
	plain := openPlain(t, ns, "kept")
	ip(t, ns, "ip link set dev kept down", "ip link set dev kept up") // else its queue may start later
	p := testpeers.OpenPacketSocket(t, ns, "kept", true)
	h, f := tcp(5000, 1448)
	if err := p.Send(bytesOf(h, f)); err != nil {
		t.Fatal(err)
	}
	for i, want := range gso.Segments(h, f) {
		buf := make([]byte, 1<<16)
		n, err := plain.Read(buf)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("segment %d: %d bytes, %v, want %d", i, n, err, len(want))
		}
	}
}
