// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde_test

import (
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

func testFrame(dst, src frame.MAC, number int) []byte {
	f := bytes.Repeat([]byte{byte(number)}, 60)
	frame.PutHeader(f, dst, src, frame.EtherTypeExperimental)
	return f
}

func send(t *testing.T, l link.Link, f []byte) {
	t.Helper()
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}}); n != 1 || err != nil {
		t.Fatalf("Send: %d, %v", n, err)
	}
}

// wantFrame receives one frame.
func wantFrame(t *testing.T, l link.Link, want []byte) {
	t.Helper()
	buf, sizes := make([]byte, 1<<16), make([]int, 1)
	n, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes})
	if n != 1 || err != nil {
		t.Fatalf("Recv: %d, %v", n, err)
	}
	if got := buf[:sizes[0]]; !bytes.Equal(got, want) {
		t.Fatalf("got frame %d of %d bytes, want frame %d", got[20], len(got), want[20])
	}
}

// TestGoodbye has three members. What one learns of another is for that one alone,
// until it says goodbye with the bytes that the C library sends.
func TestGoodbye(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	first, second := open(t, a, "vxvde:///vni=7"), open(t, b, "vxvde:///vni=7")
	third := open(t, a, "vxvde:///vni=7")
	var spy *net.UDPConn
	if err := a.Do(func() error {
		i, err := net.InterfaceByName(testpeers.VethName)
		if err == nil {
			spy, err = net.ListenMulticastUDP("udp4", i, &net.UDPAddr{IP: net.IPv4(239, 0, 0, 1), Port: 14789})
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer spy.Close()
	read := func() (b []byte) {
		b = make([]byte, 100)
		n, _, err := spy.ReadFromUDP(b)
		if err != nil {
			t.Fatal(err)
		}
		return b[:n]
	}
	mac1, mac2, mac3 := frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 3}

	hello := testFrame(frame.Broadcast(), mac2, 1)
	send(t, second, hello)
	wantFrame(t, first, hello)
	wantFrame(t, third, hello)
	if got, want := read(), append([]byte{8, 0, 0, 0, 0, 0, 7, 0}, hello...); !bytes.Equal(got, want) {
		t.Errorf("on the wire: % x, want % x", got, want)
	}
	send(t, first, testFrame(mac2, mac1, 2))
	wantFrame(t, second, testFrame(mac2, mac1, 2))
	send(t, first, testFrame(frame.Broadcast(), mac1, 3))
	wantFrame(t, second, testFrame(frame.Broadcast(), mac1, 3))
	wantFrame(t, third, testFrame(frame.Broadcast(), mac1, 3)) // and not frame 2
	read()

	if _, err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := read(), []byte{8, 0, 0, 0, 0, 0, 7, 0}; !bytes.Equal(got, want) {
		t.Errorf("the goodbye is % x, want % x", got, want)
	}
	send(t, third, testFrame(frame.Broadcast(), mac3, 4))
	wantFrame(t, first, testFrame(frame.Broadcast(), mac3, 4)) // which has seen the goodbye by now
	send(t, first, testFrame(mac2, mac1, 5))
	wantFrame(t, third, testFrame(mac2, mac1, 5))
	for name, l := range map[string]link.Link{"first": first, "third": third} {
		if c := l.Caps().Counters(); c != (link.Counters{}) {
			t.Errorf("%s: %+v, want nothing lost", name, c)
		}
	}
}

// TestOwnAddressChanges drops the member's own datagrams also when they come from
// another address than before.
func TestOwnAddressChanges(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	first, second := open(t, a, "vxvde://"), open(t, b, "vxvde://")
	mac1, mac2 := frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}
	send(t, first, testFrame(frame.Broadcast(), mac1, 1))
	wantFrame(t, second, testFrame(frame.Broadcast(), mac1, 1))
	for _, args := range [][]string{
		{"ip", "addr", "add", "10.98.0.9/16", "dev", testpeers.VethName},
		{"ip", "addr", "del", testpeers.VethA4 + "/24", "dev", testpeers.VethName},
		{"ip", "route", "replace", "default", "dev", testpeers.VethName},
	} {
		if _, err := a.Exec(context.Background(), args...); err != nil {
			t.Fatal(err)
		}
	}
	send(t, first, testFrame(frame.Broadcast(), mac1, 2))
	wantFrame(t, second, testFrame(frame.Broadcast(), mac1, 2))
	send(t, second, testFrame(frame.Broadcast(), mac2, 3))
	wantFrame(t, first, testFrame(frame.Broadcast(), mac2, 3))
}
