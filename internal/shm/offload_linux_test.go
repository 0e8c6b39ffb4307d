// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// TestCaps has the client receive without and with Headers: the switch sees with the
// next frame that it sends whether the client takes partial frames.
func TestCaps(t *testing.T) {
	client, sw := newPair(t, 1514)
	f := link.Tx{Frames: [][]byte{make([]byte, 60)}, NoWait: true}
	client.Send(f)
	sw.Send(f)
	const all = link.OffloadChecksum | link.OffloadTSO
	if c, s := client.Caps(), sw.Caps(); c.Offload != all || s.Offload != 0 || !c.SharedMemory || c.Notifier != nil {
		t.Errorf("at first the client has %+v, the switch %+v", c, s)
	}
	if _, err := client.Recv(newSlab(60).rx(1)); err != nil {
		t.Fatal(err)
	}
	sw.Send(f)
	if got := sw.Caps().Offload; got != 0 {
		t.Errorf("without Headers the client seems to take %v", got)
	}
	if _, err := client.Recv(newSlab(60).rxHeaders(1)); err != nil {
		t.Fatal(err)
	}
	sw.Send(f)
	if got := sw.Caps().Offload; got != all {
		t.Errorf("the client seems to take %v", got)
	}
	client.Join(new(Group))
	if client.Caps().Notifier != client {
		t.Error("a member of a group is no Notifier")
	}
}

// tcp returns a TCP segment over IPv4 with so much payload, and its metadata.
func tcp(payload int) ([]byte, frame.VNetHeader) {
	f := make([]byte, 54+payload)
	copy(f[12:], []byte{8, 0, 0x45})
	f[16], f[17] = byte((40+payload)>>8), byte(40+payload)
	f[23] = 6
	f[46] = 5 << 4
	return f, frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4,
		HdrLen: 54, GSOSize: 1000, CsumStart: 34, CsumOffset: 16,
	}
}

// TestRecvHeaders sends metadata of all kinds with a frame: with Headers it is
// checked and normalised, without it is ignored.
func TestRecvHeaders(t *testing.T) {
	segment, gso := tcp(3000)
	wrong := gso
	wrong.CsumOffset--
	checksum := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: 34, CsumOffset: 16}
	noise := frame.VNetHeader{HdrLen: 1, GSOSize: 2, CsumStart: 3, CsumOffset: 4}
	noisy := noise
	noisy.Flags, noisy.CsumStart, noisy.CsumOffset = checksum.Flags, 34, 16
	none := frame.VNetHeader{}
	for _, test := range []struct {
		name      string
		sent, got frame.VNetHeader
		buf, size int
	}{
		{"none", none, none, 4000, 3054},
		{"GSO", gso, gso, 4000, 3054},
		{"checksum", checksum, checksum, 4000, 3054},
		{"normalised", noise, none, 4000, 3054},
		{"normalised checksum", noisy, checksum, 4000, 3054},
		{"verified", frame.VNetHeader{Flags: frame.VNetDataValid, CsumStart: 9}, frame.VNetHeader{Flags: frame.VNetDataValid}, 4000, 3054},
		{"wrong", wrong, none, 4000, 1},
		{"unknown flags", frame.VNetHeader{Flags: 64}, none, 4000, 1},
		{"cut off", gso, gso, 1000, 3054},
		{"wrong and cut off", wrong, none, 1000, 1},
		{"headers cut off", gso, none, 60, 3054},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, sw := newPair(t, 9234)
			tx := link.Tx{Frames: [][]byte{segment}, Headers: []frame.VNetHeader{test.sent}}
			s := newSlab(test.buf)
			for _, nowait := range []bool{false, true} {
				sendTx(t, client, tx)
				s.headers[0] = frame.VNetHeader{Flags: 99}
				r := s.rxHeaders(3)
				r.NoWait = nowait
				if n, err := sw.Recv(r); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				if s.headers[0] != test.got || s.sizes[0] != test.size {
					t.Errorf("got %d bytes, %+v, want %d, %+v", s.sizes[0], s.headers[0], test.size, test.got)
				}
			}
			sendTx(t, client, tx)
			if _, err := sw.Recv(s.rx(1)); err != nil || s.sizes[0] != 3054 {
				t.Errorf("without Headers: %d bytes, %v", s.sizes[0], err)
			}
		})
	}
}
