// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A joinedKind is a way to join a switch through its control directory.
type joinedKind struct {
	name    string
	opts    []vde.Option
	packets bool // reads and writes packets
	partial bool // the way to it carries metadata
	shared  bool // through shared memory
}

// joinedKinds are all there are.
func joinedKinds() []joinedKind {
	overSockets, overStream := vde.WithSharedMemory(vde.SharedMemoryNever), vde.WithStreams(vde.StreamsAlways)
	return []joinedKind{
		{"shared memory, enabled", nil, true, true, true},
		{"shared memory", nil, false, false, true},
		{"sockets with headers, enabled", []vde.Option{overSockets, vde.WithOffload()}, true, true, false},
		{"sockets with headers", []vde.Option{overSockets, vde.WithOffload()}, false, true, false},
		{"sockets, enabled", []vde.Option{overSockets}, true, false, false},
		{"sockets", []vde.Option{overSockets}, false, false, false},
		{"stream with headers, enabled", []vde.Option{overSockets, overStream, vde.WithOffload()}, true, true, false},
		{"stream with headers", []vde.Option{overSockets, overStream, vde.WithOffload()}, false, true, false},
		{"stream, enabled", []vde.Option{overSockets, overStream}, true, false, false},
		{"stream", []vde.Option{overSockets, overStream}, false, false, false},
		{"reconnecting, enabled", []vde.Option{vde.WithReconnect(vde.ReconnectPolicy{})}, true, true, true},
		{"shared memory offered with headers", []vde.Option{vde.WithOffload()}, true, true, true},
	}
}

// A joinedStation is a connection of a kind, and its address.
type joinedStation struct {
	joinedKind
	conn *vde.Conn
	mac  frame.MAC
}

// open joins the switch in dir.
func (k joinedKind) open(t *testing.T, dir string, mac frame.MAC) joinedStation {
	t.Helper()
	c := open(t, dir, k.opts...)
	if c.Caps().SharedMemory != k.shared {
		t.Fatalf("%s: shared memory: %v", k.name, c.Caps().SharedMemory)
	}
	if k.packets {
		// The first read of packets tells the switch, which knows when it sends
		// something.
		if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := readPackets(c); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return joinedStation{k, c, mac}
}

// introduce has each station send to all others. A ring shows what its other side
// takes only when something has been sent through it.
func introduce(t *testing.T, stations []joinedStation) {
	t.Helper()
	for i, from := range stations {
		write(t, from.conn, testFrame(frame.Broadcast(), from.mac, 60, 0))
		for j, to := range stations {
			if i == j {
				continue
			}
			if _, err := to.conn.Read(make([]byte, 1<<16)); err != nil {
				t.Fatalf("%s hears of %s: %v", to.name, from.name, err)
			}
		}
	}
}

// Connections that joined through the control directory in every way there is
// send each other segments of 60 KB: one that reads packets gets them whole where
// the way to it carries metadata, and all others get ordinary frames.
func TestOffloadJoined(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}})
	dir := serve(t, sw)
	defer sw.Close()
	var stations []joinedStation
	for i, kind := range joinedKinds() {
		stations = append(stations, kind.open(t, dir, frame.MAC{2, 0, 0, 0, 1, byte(i)}))
	}
	introduce(t, stations)
	for _, s := range stations {
		if s.packets && (s.conn.Caps().Offload != 0) != s.partial {
			t.Errorf("%s: the switch takes %v", s.name, s.conn.Caps().Offload)
		}
	}
	for i, from := range stations {
		for j, to := range stations {
			if i == j {
				continue
			}
			whole := segment(to.mac, from.mac, i%2 == 0, 1, payload(60_000), 1400)
			want := plain(ordinary(whole)...)
			send := want
			if from.packets {
				send = []packet{whole}
			}
			if from.packets && from.partial && to.packets && to.partial {
				want = []packet{whole}
			}
			t.Run(from.name+" to "+to.name, func(t *testing.T) { exchange(t, from.conn, to.conn, send, want, to.packets) })
		}
	}
}

// exchange sends packets and compares what arrives.
func exchange(t *testing.T, from, to *vde.Conn, send, want []packet, packets bool) {
	sent := make(chan error, 1)
	go func() {
		_, err := writePackets(from, send...)
		sent <- err
	}()
	b := make([]byte, 1<<16)
	for k := 0; k < len(want); {
		var got []packet
		var err error
		if packets {
			got, err = readPackets(to)
		} else {
			var n int
			n, err = to.Read(b)
			got = []packet{{data: b[:n]}}
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			if k == len(want) || !equal([]packet{g}, want[k:k+1]) {
				t.Fatalf("frame %d of %d has %d bytes: %+v", k, len(want), len(g.data), g.header)
			}
			k++
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// readPackets reads a batch of packets.
func readPackets(c *vde.Conn) (all []packet, err error) {
	const most = 4
	bufs, headers := make([][]byte, most), make([]frame.VNetHeader, most)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16)
	}
	n, err := c.ReadPackets(bufs, headers)
	for i := range n {
		all = append(all, packet{headers[i], bufs[i]})
	}
	return all, err
}
