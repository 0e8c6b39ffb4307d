// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// Stations made of C and libvdeplug: nothing is lost, not even what a client
// sends just before it leaves.
func TestCPeers(t *testing.T) {
	for _, size := range []int{60, 1514} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			sw, dir := start(t, vswitch.Config{DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}})
			const count = 100_000
			sink := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CSink, Network: dir, MAC: macB, Count: count})
			// The sink never sends; it is told about by hand.
			if err := sw.SetPort(1, withStatic(macB, vswitch.PortConfig{Wait: vswitch.Forever})); err != nil {
				t.Fatal(err)
			}
			source := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CSource, Network: dir, MAC: macA, Peer: macB, Count: count, Size: size})
			if err := source.Begin(); err != nil {
				t.Fatal(err)
			}
			r, err := sink.Wait(t.Context())
			if err != nil {
				t.Fatal(err, sw.Stats())
			}
			if r.Frames != count || r.Lost+r.Duplicates+r.Late+r.Corrupt > 0 {
				t.Errorf("%+v\n%+v", r, sw.Stats())
			}
			t.Logf("%.0f frames/s", float64(r.Frames)/r.Elapsed.Seconds())
			checkAccounts(t, sw.Stats())
		})
	}
}

// vde_plug finds a port by number, its description is in the list, and when it
// ends its port is free.
func TestVdePlug(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	inside := attach(t, sw, 9)
	p := testpeers.StartVdePlug(t, dir+"[5]", "-D", "hello")
	ports := sw.Ports()
	if len(ports) != 2 || ports[0].Number != 5 || !bytes.HasPrefix([]byte(ports[0].Endpoints[0].Description), []byte("hello user=")) {
		t.Errorf("%+v", ports)
	}
	f := testFrame(frame.Broadcast(), macA, 100, 1)
	if err := p.Send(f); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	if n, err := inside.Read(buf); err != nil || !bytes.Equal(buf[:n], f) {
		t.Errorf("%x, %v", buf[:n], err)
	}
	f = testFrame(macA, macB, 200, 2)
	write(t, inside, f)
	if got, err := p.Recv(t.Context()); err != nil || !bytes.Equal(got, f) {
		t.Errorf("%x, %v", got, err)
	}
	p.CloseInput()
	until(t, "detached", func() bool { return len(active(sw)) == 1 })
}

// A stopped vde_plug: what a switch must not do is to stop reading the others.
func TestStoppedSocketPeer(t *testing.T) {
	for _, policy := range []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop} {
		t.Run(policy.String(), func(t *testing.T) {
			sw, dir := start(t, vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: policy, Queue: 100}})
			a, stopped, c := open(t, dir), plug(t, dir, plugOptions{}), open(t, dir)
			stopped.send(testFrame(frame.Broadcast(), macB, 60, 0))
			if _, err := c.Write(testFrame(frame.Broadcast(), macC, 60, 0)); err != nil {
				t.Fatal(err)
			}
			until(t, "stations learned", func() bool { return len(sw.FDB()) == 2 })
			buf := make([]byte, 2000)
			const n = 5000
			for i := range n {
				if _, err := a.Write(testFrame(macB, macA, 1000, byte(i))); err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			f := testFrame(macC, macA, 60, 1)
			if _, err := a.Write(f); err != nil {
				t.Fatal(err)
			}
			for {
				k, err := c.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Equal(buf[:k], f) {
					break
				}
			}
			t.Logf("%v behind %d frames for a stopped peer", time.Since(start), n)
			s := sw.Stats()
			checkAccounts(t, s)
			out := s.Ports[1].Out
			if out.Offered != n+1 || out.Dropped.Sum() == 0 {
				t.Errorf("%+v", out)
			}
			if policy == vswitch.HeadDrop {
				// What is in the kernel, in the drainer's hands and in the queue comes
				// out in order, the last frame last.
				stopped.recv(long) // C's broadcast
				last := -1
				for got := range n {
					b := stopped.recv(short)
					if b == nil {
						t.Logf("%d frames got through, the last is %d", got, last)
						break
					}
					last = int(b[14])
				}
				if last != (n-1)&0xff {
					t.Errorf("the last frame is %d, want %d", last, (n-1)&0xff)
				}
				until(t, "queue empty", func() bool { return sw.Stats().Ports[1].Out.Queued == 0 })
			}
			checkAccounts(t, sw.Stats())
		})
	}
}

// Idle ports are cheap, and there may be many.
func TestThousandPorts(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 11000 descriptors")
	}
	sw, dir := start(t, vswitch.Config{MaxSharedMemory: 1 << 30}) // rings for all
	const n = 1000
	before := openfiles.Open()
	conns := make([]*vde.Conn, n)
	for i := range conns {
		c, err := vde.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	if fds := len(openfiles.Open().Since(before)); fds != 11*n {
		t.Errorf("%d descriptors for %d endpoints, two ends each: 5 here, 6 in the switch", fds, n)
	}
	f := testFrame(frame.Broadcast(), macA, 100, 1)
	if _, err := conns[0].Write(f); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	for i, c := range conns[1:] {
		if k, err := c.Read(buf); err != nil || !bytes.Equal(buf[:k], f) {
			t.Fatalf("port %d: %x, %v", i+2, buf[:k], err)
		}
	}
	checkAccounts(t, sw.Stats())
}
