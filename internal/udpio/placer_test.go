// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// longSegment returns a TCP segment as a kernel leaves it to a device: longer than the
// MTU, and with the checksum of the pseudo-header.
func longSegment(payload []byte) []byte {
	n := 20 + len(payload)
	f := []byte{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0, 7, 0, 8, 0, 0, 0, 100, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0,
	}
	binary.BigEndian.PutUint16(f[16:], uint16(20+n))
	binary.BigEndian.PutUint16(f[24:], ^onesSum(0, f[14:34]))
	binary.BigEndian.PutUint16(f[50:], onesSum(uint32(6+n), f[26:34]))
	return append(f, payload...)
}

// onesSum returns the sum of RFC 1071 of b, on top of start.
func onesSum(start uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		start += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		start += uint32(b[0]) << 8
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}

// TestPlaceLong hands over a long segment whole to a caller that takes that and has room,
// and in segments of Ethernet's length to every other one, however few it takes at a time.
func TestPlaceLong(t *testing.T) {
	payload := make([]byte, 20_000)
	for i := range payload {
		payload[i] = byte(i * 7 >> 3)
	}
	for _, c := range []struct {
		name        string
		bufs, room  int
		headers     bool
		whole       bool
		wantPlaced  int // at first
		wantPending int
	}{
		{"Whole", 1, 65536, true, true, 1, 0},
		{"HeadersWithoutRoom", 4, 9234, true, false, 4, 11},
		{"Finished", 64, 9234, false, false, 15, 0},
		{"OneByOne", 1, 65536, false, false, 1, 14},
	} {
		t.Run(c.name, func(t *testing.T) {
			rx := link.Rx{Bufs: make([][]byte, c.bufs), Sizes: make([]int, c.bufs)}
			for i := range rx.Bufs {
				rx.Bufs[i] = make([]byte, c.room)
			}
			if c.headers {
				rx.Headers = make([]frame.VNetHeader, c.bufs)
			}
			var p Placer
			f := longSegment(payload)
			placed := p.Place(&rx, 0, f)
			if placed != c.wantPlaced || p.Pending() != c.wantPending {
				t.Fatalf("%d frames placed, %d pending", placed, p.Pending())
			}
			if c.whole {
				if h := rx.Headers[0]; h.GSOType != frame.GSOTCPv4 || h.GSOSize != segmentMTU-40 || rx.Sizes[0] != len(f) || !bytes.Equal(rx.Bufs[0][54:len(f)], payload) {
					t.Errorf("size %d, %+v", rx.Sizes[0], h)
				}
				return
			}
			clear(f) // it was lent
			var got []byte
			for ; placed > 0; placed = p.Rest(&rx, 0) {
				for i := range placed {
					got = append(got, checkSegment(t, rx.Bufs[i][:rx.Sizes[i]], 100+uint32(len(got)))...)
				}
			}
			if !bytes.Equal(got, payload) {
				t.Errorf("%d bytes, not the payload", len(got))
			}
		})
	}
}

// checkSegment checks the headers of a segment and returns its payload.
func checkSegment(t *testing.T, f []byte, seq uint32) []byte {
	t.Helper()
	if len(f) > 14+segmentMTU || int(binary.BigEndian.Uint16(f[16:])) != len(f)-14 || onesSum(0, f[14:34]) != 0xffff {
		t.Fatalf("IP header % x of a frame of %d bytes", f[14:34], len(f))
	}
	if sum := onesSum(uint32(6+len(f)-34)+uint32(onesSum(0, f[26:34])), f[34:]); sum != 0xffff {
		t.Errorf("checksum: the sum is %#x", sum)
	}
	if got := binary.BigEndian.Uint32(f[38:]); got != seq {
		t.Errorf("sequence number %d, want %d", got, seq)
	}
	return f[54:]
}
