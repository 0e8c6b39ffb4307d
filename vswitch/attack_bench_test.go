// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// BenchmarkBesideAttack measures how many frames go from port 1 to port 2 while
// port 3 sends what costs the switch the most, and how long Stats, which waits for
// every batch under way, takes at most meanwhile.
func BenchmarkBesideAttack(b *testing.B) {
	const limit = 16384
	for _, test := range []struct {
		name   string
		port   vswitch.PortConfig
		entry  int // MaxFDBEntries
		attack func(sw *vswitch.Switch) func()
	}{
		{"nothing", vswitch.PortConfig{}, 0, func(*vswitch.Switch) func() { return func() { time.Sleep(time.Millisecond) } }},
		{"known", vswitch.PortConfig{}, 0, func(sw *vswitch.Switch) func() { return sources(sw, 0) }},
		{"over-mac-limit", vswitch.PortConfig{MACLimit: limit}, 0, func(sw *vswitch.Switch) func() { return sources(sw, limit) }},
		{"table-full", vswitch.PortConfig{}, limit, func(sw *vswitch.Switch) func() { return sources(sw, limit) }},
		{"segment-size-1", vswitch.PortConfig{}, 0, func(sw *vswitch.Switch) func() { return segmentsOf(sw, 1) }},
		{"segment-size-256", vswitch.PortConfig{}, 0, func(sw *vswitch.Switch) func() { return segmentsOf(sw, 256) }},
	} {
		b.Run("attack="+test.name, func(b *testing.B) {
			sw := vswitch.New(vswitch.Config{
				MaxFDBEntries: test.entry,
				Ports: map[int]vswitch.PortConfig{
					1: {Static: []vswitch.StaticEntry{{MAC: macA}}},
					2: {Static: []vswitch.StaticEntry{{MAC: macB}}, Policy: vswitch.TailDrop}, 3: test.port,
				},
			})
			b.Cleanup(func() { sw.Close() })
			conns := attachMany(b, sw, 3)
			step := test.attack(sw)
			var stop atomic.Bool
			var wg sync.WaitGroup
			wg.Go(func() {
				for !stop.Load() {
					step()
				}
			})
			var longest time.Duration
			wg.Go(func() {
				for !stop.Load() {
					start := time.Now()
					sw.Stats()
					longest = max(longest, time.Since(start))
					time.Sleep(5 * time.Millisecond)
				}
			})
			batch := make([][]byte, benchBatch)
			for i := range batch {
				batch[i] = testFrame(macB, macA, 64, byte(i))
			}
			b.ResetTimer()
			for range b.N {
				if _, err := conns[0].WriteBatch(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			stop.Store(true)
			wg.Wait()
			b.ReportMetric(float64(benchBatch*b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
			b.ReportMetric(float64(longest.Microseconds())/1e3, "ms-longest-Stats")
		})
	}
}

// sources sends, after known addresses, frames from others, none of them twice
// within a million; with known 0, frames of one address. Their destination is
// their source, so that they go nowhere.
func sources(sw *vswitch.Switch, known int) func() {
	batch, headers, next := make([][]byte, benchBatch), make([]frame.VNetHeader, benchBatch), 0
	for i := range batch {
		batch[i] = make([]byte, 60)
	}
	step := func() {
		for _, f := range batch {
			mac := frame.MAC{2, 9}
			if known > 0 {
				binary.BigEndian.PutUint32(mac[2:], uint32(next%(1<<20)))
				next++
			}
			frame.PutHeader(f, mac, mac, 0x88b5)
		}
		vswitch.Inject(sw, 3, batch, headers)
	}
	for range known/benchBatch + 1 {
		step()
	}
	return step
}

// segmentsOf sends batches of the longest GSO frames, of segments of so many bytes
// of payload, to nobody.
func segmentsOf(sw *vswitch.Switch, size int) func() {
	h := segment(macC, frame.MAC{2, 9}, false, 1, make([]byte, frame.MaxGSO-54), size)
	batch, headers := make([][]byte, benchBatch), make([]frame.VNetHeader, benchBatch)
	for i := range batch {
		batch[i], headers[i] = h.data, h.header
	}
	return func() { vswitch.Inject(sw, 3, batch, headers) }
}
