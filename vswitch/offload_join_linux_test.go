// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// Connections that joined through the control directory in every way there is
// send each other segments of 60 KB: who asked for offload headers gets them
// whole where its carrier has agreed, and in any case nobody else does.
func TestOffloadJoined(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{Port: vswitch.PortConfig{Wait: vswitch.Forever}})
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
		if c.SharedMemory() != k.shared {
			t.Fatalf("%s: shared memory: %v", k.name, c.SharedMemory())
		}
		if k.enable {
			c.EnableOffload()
		}
		if k.enable && c.OffloadAgreed() != k.agreed {
			t.Errorf("%s: agreed: %v", k.name, c.OffloadAgreed())
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		conns[i], macs[i] = c, frame.MAC{2, 0, 0, 0, 1, byte(i)}
	}
	// everybody is known, and has been sent something: a ring shows only then what
	// its other side takes.
	for i, from := range conns {
		hello := frame.AppendHeader(nil, frame.Broadcast(), macs[i], frame.EtherTypeExperimental)
		hello = append(hello, make([]byte, 46)...)
		if kinds[i].enable {
			hello = append(make([]byte, frame.VNetHeaderLen), hello...)
		}
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
	buf := make([]byte, 1<<16)
	for i, from := range conns {
		for j, to := range conns {
			if i == j {
				continue
			}
			whole := segment(macs[j], macs[i], i%2 == 0, 1, payload(60_000), 1400)
			parts := ordinary(whole)
			send := parts
			if kinds[i].enable {
				send = [][]byte{whole.bytes()}
			}
			sent := make(chan error, 1)
			go func() {
				_, err := from.WriteBatch(send)
				sent <- err
			}()
			want := parts
			switch {
			case kinds[j].enable && kinds[j].agreed && kinds[i].enable && kinds[i].agreed:
				want = [][]byte{whole.bytes()}
			case kinds[j].enable:
				want = nil
				for _, p := range parts {
					want = append(want, append(make([]byte, frame.VNetHeaderLen), p...))
				}
			}
			for k, w := range want {
				n, err := to.Read(buf)
				if err != nil {
					t.Fatalf("%s to %s: %v", kinds[i].name, kinds[j].name, err)
				}
				if !bytes.Equal(buf[:n], w) {
					t.Fatalf("%s to %s: frame %d of %d has %d bytes, want %d:\n% .60x\n% .60x", kinds[i].name, kinds[j].name, k, len(want), n, len(w), buf[:n], w)
				}
			}
			if err := <-sent; err != nil {
				t.Fatalf("%s to %s: %v", kinds[i].name, kinds[j].name, err)
			}
		}
	}
}
