// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/node"
)

// A counter returns how many frames have come so far at the end that a benchmark looks
// at.
type counter func() uint64

// ourNode opens a node of ours in dir. What comes at its host is counted.
func ourNode(b *testing.B, kind node.Kind, dir string) (counter, *vswitch.Switch) {
	c, sw := open(b, kind, dir, "")
	var count atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		bufs := make([][]byte, 64)
		for i := range bufs {
			bufs[i] = make([]byte, 2000)
		}
		for {
			n, err := c.ReadBatch(bufs)
			if err != nil {
				return
			}
			count.Add(uint64(n))
			for i, b := range bufs[:n] {
				bufs[i] = b[:cap(b)]
			}
		}
	}()
	b.Cleanup(func() {
		c.Close()
		<-done
	})
	return count.Load, sw
}

// counting returns the count of a C program that joins, or opens, a network.
func counting(b *testing.B, network string) counter {
	p := testpeers.StartCPeer(b, testpeers.CPeerConfig{Role: testpeers.CCount, Network: network})
	return func() uint64 {
		r, err := p.Report(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		return r.Frames
	}
}

// BenchmarkNodes has a C program on libvdeplug send frames through a node of ours or of
// libvdeplug: from a cable to another cable through a switch or a hub, which send them
// to their host too because nobody has the address, and from a cable to the host of the
// other kinds. The host of libvdeplug's is a C program, that of ours is the benchmark.
// The counters of a node of ours have to add up, with those frames that did not come.
func BenchmarkNodes(b *testing.B) {
	testpeers.Need(b, "linux", "gcc", "libvdeplug.h", "vde_plug")
	for _, kind := range []node.Kind{node.Switch, node.Hub, node.Multi, node.Bonding} {
		for _, size := range []int{64, 1514} {
			for _, whose := range []string{"ours", "libvdeplug"} {
				b.Run(fmt.Sprintf("kind=%s/size=%d/node=%s", kind, size, whose), func(b *testing.B) {
					dir, toCable := newDir(b), kind == node.Switch || kind == node.Hub
					var came counter
					var sw *vswitch.Switch
					switch {
					case whose == "ours":
						came, sw = ourNode(b, kind, dir)
					case toCable:
						dir = testpeers.StartNode(b, string(kind)).Dir()
					default:
						came = counting(b, string(kind)+"://"+dir)
					}
					if toCable {
						came = counting(b, dir)
					}
					benchmarkNode(b, dir, size, came)
					if sw != nil {
						offered(b, sw, uint64(b.N)) // what did not come is counted
					}
				})
			}
		}
	}
}

// benchmarkNode sends b.N frames into the node in dir and reports how many came, and
// how fast.
func benchmarkNode(b *testing.B, dir string, size int, came counter) {
	source := testpeers.StartCPeer(b, testpeers.CPeerConfig{
		Role: testpeers.CFlood, Network: dir, MAC: mac(1), Peer: mac(2), Count: uint64(b.N), Size: size,
	})
	b.SetBytes(int64(size))
	b.ResetTimer()
	begin := time.Now()
	if err := source.Begin(); err != nil {
		b.Fatal(err)
	}
	if _, err := source.Wait(context.Background()); err != nil {
		b.Fatal(err)
	}
	// What is in queues still comes: until all has, or nothing does for a while.
	last, at := came(), time.Now()
	for last < uint64(b.N) && time.Since(at) < 200*time.Millisecond {
		time.Sleep(time.Millisecond)
		if n := came(); n > last {
			last, at = n, time.Now()
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(last)/at.Sub(begin).Seconds(), "frames/s")
	b.ReportMetric(100*(1-float64(last)/float64(b.N)), "%lost")
	b.ReportMetric(0, "ns/op") // the wait for the last frames is no part of it
}
