// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// BenchmarkCPeers moves frames from one C libvdeplug client to another, through
// this switch and through vde_switch. It counts frames received and reports
// losses; the time is from the first frame received to the last.
func BenchmarkCPeers(b *testing.B) {
	for _, size := range []int{64, 1514} {
		for _, name := range []string{"vswitch", "vde_switch"} {
			b.Run(fmt.Sprintf("size=%d/switch=%s", size, name), func(b *testing.B) {
				var dir string
				if name == "vde_switch" {
					dir = testutil.Switch(b, testutil.SwitchConfig{NoMgmt: true}).Dir()
				} else {
					sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: station(macB, vswitch.PortConfig{})}})
					dir = serve(b, sw)
				}
				sink := testutil.StartCPeer(b, testutil.CPeerConfig{Role: testutil.CCount, Network: dir, MAC: macB})
				source := testutil.StartCPeer(b, testutil.CPeerConfig{Role: testutil.CFlood, Network: dir, MAC: macA, Peer: macB, Count: uint64(b.N), Size: size})
				b.SetBytes(int64(size))
				b.ResetTimer()
				if err := source.Begin(); err != nil {
					b.Fatal(err)
				}
				if _, err := source.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				r, err := sink.Finish(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(r.Frames)/r.Elapsed.Seconds()/1e6, "Mframes/s")
				b.ReportMetric(100*(1-float64(r.Frames)/float64(b.N)), "%lost")
			})
		}
	}
}

// BenchmarkIdlePorts reports the memory of ports that are plugged in and silent.
// Half of a socket cable's share is the client's in the same process.
func BenchmarkIdlePorts(b *testing.B) {
	const ports = 1000
	inUse := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapInuse + m.StackInuse)
	}
	for _, kind := range []string{"in-process", "socket"} {
		b.Run("kind="+kind, func(b *testing.B) {
			for b.Loop() {
				sw := vswitch.New(vswitch.Config{})
				before := inUse()
				if kind == "socket" {
					dir := serve(b, sw)
					for range ports {
						open(b, dir)
					}
				} else {
					attachMany(b, sw, ports)
				}
				b.ReportMetric((inUse()-before)/ports, "B/port")
				sw.Close()
			}
		})
	}
}
