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

// Connections that joined through the control directory in every way there is
// send each other segments of 60 KB: one that reads packets gets them whole where
// the way to it carries metadata, and all others get ordinary frames.
func TestOffloadJoined(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}})
	dir := serve(t, sw)
	defer sw.Close()
	overSockets := vde.WithSharedMemory(vde.SharedMemoryNever)
	kinds := []struct {
		name           string
		opts           []vde.Option
		enable, agreed bool
		shared         bool
	}{
		{"shared memory, enabled", nil, true, true, true},
		{"shared memory", nil, false, false, true},
		{"sockets with headers, enabled", []vde.Option{overSockets, vde.WithOffload()}, true, true, false},
		{"sockets with headers", []vde.Option{overSockets, vde.WithOffload()}, false, true, false},
		{"sockets, enabled", []vde.Option{overSockets}, true, false, false},
		{"sockets", []vde.Option{overSockets}, false, false, false},
		{"reconnecting, enabled", []vde.Option{vde.WithReconnect(vde.ReconnectPolicy{})}, true, true, true},
		{"shared memory offered with headers", []vde.Option{vde.WithOffload()}, true, true, true},
	}
	conns := make([]*vde.Conn, len(kinds))
	macs := make([]frame.MAC, len(kinds))
	for i, k := range kinds {
		c := open(t, dir, k.opts...)
		if c.Caps().SharedMemory != k.shared {
			t.Fatalf("%s: shared memory: %v", k.name, c.Caps().SharedMemory)
		}
		if k.enable {
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
		conns[i], macs[i] = c, frame.MAC{2, 0, 0, 0, 1, byte(i)}
	}
	// All are known, and have been sent something: a ring shows only then what its
	// other side takes.
	for i, from := range conns {
		hello := frame.AppendHeader(nil, frame.Broadcast(), macs[i], frame.EtherTypeExperimental)
		hello = append(hello, make([]byte, 46)...)
		if _, err := from.Write(hello); err != nil {
			t.Fatal(err)
		}
		for j, to := range conns {
			if i != j {
				if _, err := to.Read(make([]byte, 1<<16)); err != nil {
					t.Fatalf("%s hears of %s: %v", kinds[j].name, kinds[i].name, err)
				}
			}
		}
	}
	for i, k := range kinds {
		if k.enable && (conns[i].Caps().Offload != 0) != k.agreed {
			t.Errorf("%s: the switch takes %v", k.name, conns[i].Caps().Offload)
		}
	}
	for i, from := range conns {
		for j, to := range conns {
			if i == j {
				continue
			}
			whole := segment(macs[j], macs[i], i%2 == 0, 1, payload(60_000), 1400)
			want := plain(ordinary(whole)...)
			send := want
			if kinds[i].enable {
				send = []packet{whole}
			}
			if kinds[j].enable && kinds[j].agreed && kinds[i].enable && kinds[i].agreed {
				want = []packet{whole}
			}
			t.Run(kinds[i].name+" to "+kinds[j].name, func(t *testing.T) { exchange(t, from, to, send, want, kinds[j].enable) })
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
	for k := 0; k < len(want); {
		var got []packet
		var err error
		if packets {
			got, err = readPackets(to)
		} else {
			b := make([]byte, 1<<16)
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
