// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// newIsolated returns a switch with stations at the ports 1 to 4, of which 3 and 4 are
// isolated.
func newIsolated(t *testing.T, cfg vswitch.Config) (*vswitch.Switch, []*vde.Conn) {
	t.Helper()
	cfg.Ports = map[int]vswitch.PortConfig{3: {Isolated: true}, 4: {Isolated: true}}
	sw := vswitch.New(cfg)
	t.Cleanup(func() { sw.Close() })
	conns := make([]*vde.Conn, 5)
	for n := 1; n < len(conns); n++ {
		conns[n] = attach(t, sw, n)
	}
	return sw, conns
}

// wantOnly checks that f, and nothing else, has come to the ports in at.
func wantOnly(t *testing.T, sw *vswitch.Switch, conns []*vde.Conn, f []byte, at ...int) {
	t.Helper()
	for n := 1; n < len(conns); n++ {
		got := received(t, sw, conns[n])
		want := [][]byte(nil)
		if slices.Contains(at, n) {
			want = [][]byte{f}
		}
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("port %d got %d frames, want %d of %x", n, len(got), len(want), f)
		}
	}
}

// TestIsolated checks that frames of isolated ports do not reach each other, flooded or
// to a known address, and are counted.
func TestIsolated(t *testing.T) {
	for _, hub := range []bool{false, true} {
		t.Run(fmt.Sprint("hub=", hub), func(t *testing.T) {
			sw, c := newIsolated(t, vswitch.Config{Hub: hub})
			f := testFrame(frame.Broadcast(), macA, 60, 1)
			write(t, c[3], f)
			wantOnly(t, sw, c, f, 1, 2)
			write(t, c[1], testFrame(frame.Broadcast(), macB, 60, 2))
			wantOnly(t, sw, c, testFrame(frame.Broadcast(), macB, 60, 2), 2, 3, 4)
			f = testFrame(macA, macC, 60, 3)
			write(t, c[4], f)
			if hub {
				wantOnly(t, sw, c, f, 1, 2)
			} else {
				wantOnly(t, sw, c, f)
				if in := counts(t, sw, 4).In; in.Dropped != (vswitch.InDropped{Isolated: 1}) {
					t.Errorf("%+v", in)
				}
				f = testFrame(macB, macC, 60, 4)
				write(t, c[4], f)
				wantOnly(t, sw, c, f, 1)
			}
			if pc, err := sw.Port(3); err != nil || !pc.Isolated {
				t.Errorf("%+v, %v", pc, err)
			}
			if err := sw.SetPort(3, vswitch.PortConfig{}); err != nil {
				t.Fatal(err)
			}
			f = testFrame(frame.Broadcast(), macC, 60, 5)
			write(t, c[4], f)
			wantOnly(t, sw, c, f, 1, 2, 3)
			counts(t, sw, 4)
		})
	}
}

// TestRoundRobin checks that frames go to one other port each, in batches and one by
// one, in turn.
func TestRoundRobin(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Hub: true, Ports: map[int]vswitch.PortConfig{1: {RoundRobin: true}}})
	defer sw.Close()
	conns := make([]*vde.Conn, 5)
	for n := 1; n < len(conns); n++ {
		conns[n] = attach(t, sw, n)
	}
	const count = 3 * 50
	var batch [][]byte
	for i := range count {
		batch = append(batch, testFrame(frame.Broadcast(), macA, 60, byte(i)))
	}
	if n, err := conns[1].WriteBatch(batch[:100]); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	for _, f := range batch[100:] {
		write(t, conns[1], f)
	}
	next := map[int]int{3: 0, 4: 1, 2: 2} // beginning with the second
	for n, first := range next {
		got := received(t, sw, conns[n])
		for i, f := range got {
			if want := batch[first+3*i]; !bytes.Equal(f, want) {
				t.Fatalf("port %d: frame %d is number %d, want %d", n, i, f[14], first+3*i)
			}
		}
		if len(got) != count/3 {
			t.Errorf("port %d got %d frames", n, len(got))
		}
	}
	if in := counts(t, sw, 1).In; in.Copies != count || in.Forwarded != count {
		t.Errorf("%+v", in)
	}
}

// TestIsolatedWaits checks that frames of an isolated port for the one port that is not
// wait for room there, in hub mode too.
func TestIsolatedWaits(t *testing.T) {
	sw := vswitch.New(vswitch.Config{
		Hub: true, DefaultPort: vswitch.PortConfig{Isolated: true},
		Ports: map[int]vswitch.PortConfig{1: {Queue: 8, Wait: vswitch.Forever}},
	})
	defer sw.Close()
	host, cable := attach(t, sw, 1), attach(t, sw, 2)
	attach(t, sw, 3)
	batch := slices.Repeat([][]byte{testFrame(frame.Broadcast(), macA, 60, 1)}, 1000)
	if n, err := cable.TryWriteBatch(batch); n != 8 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := cable.WriteBatch(batch[8:])
		sent <- err
	}()
	b := make([]byte, 100)
	for range batch {
		if _, err := host.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if out := counts(t, sw, 1).Out; out.Frames != 1000 || out.Dropped.Sum() != 0 {
		t.Errorf("%+v", out)
	}
}

// TestKeepTags checks that tags tell VLANs apart, all identifiers, and stay as they are.
func TestKeepTags(t *testing.T) {
	sw := vswitch.New(vswitch.Config{KeepTags: true, DefaultPort: vswitch.PortConfig{VLAN: 7}})
	defer sw.Close()
	conns := []*vde.Conn{nil, attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)}
	plain := testFrame(frame.Broadcast(), macA, 60, 1)
	for i, f := range [][]byte{plain, tagged(plain, 1), tagged(plain, 0xe000), tagged(plain, 4095), tagged(tagged(plain, 7), 7), plain[:14]} {
		write(t, conns[1+i%3], f)
		wantOnly(t, sw, conns, f, 1+(i+1)%3, 1+(i+2)%3)
	}
	// Number 3 came from port 1 last, in VLAN 4095.
	f := tagged(testFrame(macA, macC, 60, 2), 4095)
	write(t, conns[2], f)
	wantOnly(t, sw, conns, f, 1)
	f = tagged(testFrame(macA, macC, 60, 2), 0x2000|7)
	write(t, conns[3], f)
	wantOnly(t, sw, conns, f, 2)
	for n := 1; n <= 3; n++ {
		if in := counts(t, sw, n).In; in.Dropped.Sum() != 0 {
			t.Errorf("port %d: %+v", n, in)
		}
	}
}

// TestOpenLink checks that the link of OpenLink is a port as Attach makes one.
func TestOpenLink(t *testing.T) {
	sw := vswitch.New(vswitch.Config{NumPorts: 2})
	defer sw.Close()
	l, err := sw.OpenLink(link.Settings{Port: 2, Description: "bare"})
	if err != nil {
		t.Fatal(err)
	}
	c := attach(t, sw, 1)
	if _, err := sw.OpenLink(link.Settings{}); err == nil {
		t.Error("a third port of two")
	}
	if p := sw.Ports()[1]; p.Number != 2 || p.Endpoints[0].Kind != vswitch.KindInProcess || p.Endpoints[0].Description != "bare" || p.Endpoints[0].Since.After(time.Now()) {
		t.Errorf("%+v", p)
	}
	f := testFrame(frame.Broadcast(), macA, 60, 1)
	if _, _, err := l.Send(link.Tx{Frames: [][]byte{f}}); err != nil {
		t.Fatal(err)
	}
	if got := received(t, sw, c); len(got) != 1 || !bytes.Equal(got[0], f) {
		t.Errorf("%x", got)
	}
	write(t, c, f)
	if unread, err := l.Close(); unread != 1 || err != nil {
		t.Errorf("%d, %v", unread, err)
	}
	counts(t, sw, 2)
}
