// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/vnl"
)

// wantFewer checks that frames went as messages of several datagrams.
func wantFewer(t *testing.T, what string, messages, frames uint64) {
	t.Helper()
	if messages == 0 || messages >= frames {
		t.Errorf("%s: %d frames went as %d messages, want fewer: the test shows nothing of messages of several datagrams", what, frames, messages)
	}
}

// TestKernelBatches sends batches, which go as messages that the kernel cuts, into the
// kernel's tunnel device: frames of one size and of many come out of it whole and in
// order.
func TestKernelBatches(t *testing.T) {
	testpeers.Need(t, "linux", "CAP_NET_RAW")
	for _, c := range []struct{ name, locator, remote string }{
		{"IPv4", "vxlan://" + testpeers.VethB4 + "/vni=42", testpeers.VethA4},
		{"IPv6", "vxlan://[" + testpeers.VethB6 + "]/vni=42", testpeers.VethA6},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := testpeers.NewVeth(t)
			kernelDevice(t, b, "remote", c.remote)
			l := open(t, a, c.locator)
			p := testpeers.OpenPacketSocket(t, b, "vx0", false)
			for what, sizes := range map[string][]int{
				"one size":       {1000},
				"two sizes":      {1400, 60},
				"falling":        {1400, 1300, 1200, 1100},
				"runs":           {900, 900, 900, 100, 1444, 1444, 1444, 1444, 60},
				"the last short": {1200, 1200, 1200, 1200, 1200, 1200, 1200, 80},
			} {
				const count = 64 // no more fit the queue of a packet socket
				counter := "UdpOutDatagrams"
				if c.name == "IPv6" {
					counter = "Udp6OutDatagrams"
				}
				before := a.Counter(t, counter)
				var batch [][]byte
				for i := range count {
					batch = append(batch, testFrame(frame.Broadcast(), macA, i, sizes[i%len(sizes)]))
				}
				send(t, l, batch...)
				for i, want := range batch {
					if got, err := p.Recv(); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s: frame %d is %d bytes, %v, want %d", what, i, len(got), err, len(want))
					}
				}
				wantFewer(t, what, a.Counter(t, counter)-before, count)
			}
		})
	}
}

// TestKernelBatchesTCP has TCP go through the kernel's tunnel device in batches: what
// the tap driver cuts out of a segment of 64 KB is one batch.
func TestKernelBatchesTCP(t *testing.T) {
	testpeers.Need(t, "linux", "/dev/net/tun")
	a, b := testpeers.NewVeth(t)
	kernelDevice(t, b, "remote", testpeers.VethA4)
	var device link.Link
	if err := a.Do(func() (err error) {
		device, err = tap.Driver{}.Open(t.Context(), vnl.Locator{Scheme: "tap", Arg: "tap0"}, link.Settings{})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	l := open(t, a, "vxlan://"+testpeers.VethB4+"/vni=42")
	var running sync.WaitGroup
	t.Cleanup(func() {
		device.Close()
		l.Close()
		running.Wait()
	})
	for _, command := range []string{"ip addr add " + innerA + "/24 dev tap0", "ip link set dev tap0 mtu 1430 up"} {
		if _, err := a.Exec(t.Context(), "sh", "-c", command); err != nil {
			t.Fatal(err)
		}
	}
	var sent atomic.Uint64
	running.Go(func() { pump(device, l, &sent) })
	running.Go(func() { pump(l, device, new(atomic.Uint64)) })
	before := a.Counter(t, "UdpOutDatagrams")
	echo(t, a, b, innerB, 4<<20)
	wantFewer(t, "TCP", a.Counter(t, "UdpOutDatagrams")-before, sent.Load())
	echo(t, b, a, innerA, 1<<20)
}

// pump sends on to what it receives on from, in the same batches, until either is
// closed, and counts the frames.
func pump(from, to link.Link, sent *atomic.Uint64) {
	rx := link.Rx{Bufs: make([][]byte, 64), Sizes: make([]int, 64)}
	for i := range rx.Bufs {
		rx.Bufs[i] = make([]byte, 2000)
	}
	batch := make([][]byte, 64)
	for {
		n, err := from.Recv(rx)
		if err != nil {
			return
		}
		for i := range n {
			batch[i] = rx.Bufs[i][:rx.Sizes[i]]
		}
		k, _, err := to.Send(link.Tx{Frames: batch[:n]})
		sent.Add(uint64(k))
		if err != nil {
			return
		}
	}
}
