// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/vnl"
)

// newTunnel returns a tunnel without sockets.
func newTunnel(t testing.TB, locator string) *tunnel {
	t.Helper()
	a, err := parse(vnl.Parse(locator))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.resolve(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &tunnel{address: a, head: a.header(), unknown: udpio.NewPeer(a.remote), table: udpio.NewTable(a.Size, a.Age, time.Now)}
}

var (
	sender  = udpio.AddrOf(netip.MustParseAddrPort("10.0.0.9:50000"), 0)
	station = frame.MAC{2, 0, 0, 0, 0, 9}
)

// TestDatagrams accepts what has the flag I and the network's identifier, whatever
// the reserved bits are, and learns the sender's address with the port of VXLAN.
func TestDatagrams(t *testing.T) {
	f := frame.AppendHeader(nil, frame.Broadcast(), station, frame.EtherTypeExperimental) // 14 bytes
	for _, c := range []struct {
		head string
		ok   bool
	}{
		{"\x08\x00\x00\x00\x01\x02\x03\x00", true},
		{"\xff\xff\xff\xff\x01\x02\x03\xff", true},
		{"\x00\x00\x00\x00\x01\x02\x03\x00", false},
		{"\xf7\x00\x00\x00\x01\x02\x03\x00", false},
		{"\x08\x00\x00\x00\x01\x02\x04\x00", false},
		{"\x08\x00\x00\x00\x00\x02\x03\x00", false},
	} {
		tun := newTunnel(t, "vxlan://10.0.0.2/vni=66051/port=5000")
		got, ok := tun.acceptOwn(udpio.Datagram{Data: append([]byte(c.head), f...), From: sender})
		if ok != c.ok || ok && !bytes.Equal(got, f) {
			t.Errorf("% x: %x, %v; want %v", c.head, got, ok, c.ok)
		}
		if n := tun.foreign.Load(); ok == (n == 1) {
			t.Errorf("% x: accepted %v, and %d foreign", c.head, ok, n)
		}
		_, to := tun.Route(append(station[:], f[6:]...))
		want := tun.remote
		if ok {
			want = sender.WithPort(5000)
		}
		if to.Addr() != want {
			t.Errorf("% x: frames to the sender go to %v, want %v", c.head, to.Addr().AddrPort(), want.AddrPort())
		}
	}
	tun := newTunnel(t, "vxlan://10.0.0.2")
	for n := range headerLen {
		if _, ok := tun.acceptOwn(udpio.Datagram{Data: tun.head[:n], From: sender}); ok {
			t.Errorf("a header of %d bytes was accepted", n)
		}
	}
	if f, ok := tun.acceptOwn(udpio.Datagram{Data: append(tun.head[:], 1, 2, 3), From: sender}); !ok || len(f) != 3 || tun.table.Len() != 0 {
		t.Errorf("3 bytes: %v, %v, %d addresses learned; want them, to be counted as a runt", f, ok, tun.table.Len())
	}
}

// FuzzDatagram compares with a header read as numbers, and holds learning to the
// source address of the frame.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte("\x08\x00\x00\x00\x01\x02\x03\x00" + "abcdefABCDEFxx"))
	f.Add([]byte("\x08\x00\x00\x00\x01\x02\x03"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tun := newTunnel(t, "vxlan://10.0.0.2/vni=66051")
		got, ok := tun.acceptOwn(udpio.Datagram{Data: b, From: sender})
		want := len(b) >= 8 && binary.BigEndian.Uint32(b)>>27&1 == 1 && binary.BigEndian.Uint32(b[4:])>>8 == 66051
		if ok != want || ok && !bytes.Equal(got, b[8:]) {
			t.Fatalf("accepted %v, want %v", ok, want)
		}
		learned := ok && len(b) >= 8+14 && b[8+6]&1 == 0
		if learned != (tun.table.Len() == 1) || learned && tun.table.Lookup(frame.MAC(b[8+6:])) == nil {
			t.Fatalf("%d addresses learned, want %v", tun.table.Len(), learned)
		}
		socket, to := tun.Route(b)
		if socket < 0 || socket >= sendSockets || to == nil {
			t.Fatalf("route %d, %v", socket, to)
		}
	})
}

// packet returns the beginning of a UDP packet between two ports, with n tags.
func packet(v6 bool, tags int, from, to uint16) []byte {
	f := frame.AppendHeader(nil, frame.Broadcast(), station, frame.EtherTypeIPv4)[:12]
	for range tags {
		f = append(f, 0x81, 0, 0x20, 5)
	}
	if v6 {
		f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64)
		f = append(f, "0123456789abcdefABCDEFGHIJKLMNOP"...)
	} else {
		f = append(f, 0x08, 0, 0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	}
	f = binary.BigEndian.AppendUint16(f, from)
	f = binary.BigEndian.AppendUint16(f, to)
	return append(f, 0, 8, 0, 0)
}

// TestFlow gives the frames of a flow one number, and spreads flows over the sockets.
func TestFlow(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for tags := range 3 {
			first := packet(v6, tags, 1000, 2000)
			later := slices.Clone(first)
			ip := 14 + 4*tags
			if v6 {
				later[ip+1], later[ip+5], later[ip+7] = 7, 99, 3 // flow label, length, hop limit
			} else {
				later[ip+1], later[ip+3], later[ip+5], later[ip+8], later[ip+11] = 7, 99, 9, 3, 8 // service, length, id, TTL, checksum
			}
			later[len(later)-1] = 77
			if flow(first) != flow(later) {
				t.Errorf("v6 %v, %d tags: two frames of a flow differ", v6, tags)
			}
			seen := make(map[uint64]int)
			for port := range uint16(400) {
				seen[flow(packet(v6, tags, 1000+port, 2000))%sendSockets]++
			}
			for s := range uint64(sendSockets) {
				if seen[s] < 50 {
					t.Errorf("v6 %v, %d tags: of 400 flows socket %d has %d", v6, tags, s, seen[s])
				}
			}
		}
	}
	for n := range 60 { // whatever is cut off
		flow(packet(true, 2, 1, 2)[:n])
	}
	// The fragments of a packet are of one flow, though only the first has ports.
	a, b := packet(false, 0, 1, 2), packet(false, 0, 3, 4)
	a[14+6], b[14+7] = 0x20, 8
	if flow(a) != flow(b) {
		t.Error("two fragments of a packet differ")
	}
}

// TestQueue compares the queue with a slice.
func TestQueue(t *testing.T) {
	var q queue
	var want [][]byte
	random := rand.New(rand.NewPCG(1, 2))
	bytesIn := 0
	for range 20000 {
		if random.IntN(3) > 0 {
			f := make([]byte, random.IntN(9000))
			if len(f) > 0 {
				f[0], f[len(f)-1] = byte(random.Uint32()), byte(len(f))
			}
			if q.put(f) {
				want = append(want, f)
				bytesIn += 4 + len(f)
			} else if bytesIn < queueSize/2-9004 {
				t.Fatalf("no room with %d bytes in the queue", bytesIn)
			}
		} else if len(want) > 0 {
			if got := q.get(); !bytes.Equal(got, want[0]) {
				t.Fatalf("%d bytes, want %d", len(got), len(want[0]))
			}
			bytesIn -= 4 + len(want[0])
			want = want[1:]
		}
		if q.frames != len(want) || cap(q.buf) > 2*queueSize {
			t.Fatalf("%d frames, want %d, in %d bytes", q.frames, len(want), cap(q.buf))
		}
	}
}
