// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// attachTime returns how long it takes to attach n ports, and to detach them.
func attachTime(t *testing.T, n int) time.Duration {
	t.Helper()
	sw := vswitch.New(vswitch.Config{NumPorts: n, DefaultPort: vswitch.PortConfig{Queue: 1}})
	defer sw.Close()
	conns := make([]*vde.Conn, n)
	start := time.Now()
	for i := range conns {
		c, err := sw.Attach()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	for _, c := range conns {
		c.Close()
	}
	return time.Since(start)
}

// TestAttachScales checks that the time to attach ports grows with their number and
// not with its square.
func TestAttachScales(t *testing.T) {
	few, many := 2_500, 10_000
	if raceEnabled && testing.Short() {
		few, many = 1_000, 4_000
	}
	best := 1e9
	for range 3 { // something else may run
		a, b := attachTime(t, few), attachTime(t, many)
		ratio := b.Seconds() / a.Seconds()
		t.Logf("%d ports: %v; %d: %v, %.1f times", few, a, many, b, ratio)
		if best = min(best, ratio); best < 6 {
			break
		}
	}
	// Linear: 4 times; square: 16.
	if best > 9 {
		t.Errorf("%d times as many ports take at least %.0f times as long", many/few, best)
	}
}

// A rateOf is how far a counter goes in some time.
type rateOf struct {
	n    int64
	took time.Duration
}

// measure adds what a counter does while f runs.
func (r *rateOf) measure(counter *atomic.Int64, f func()) {
	before, start := counter.Load(), time.Now()
	f()
	r.took += time.Since(start)
	r.n += counter.Load() - before
}

func (r *rateOf) rate() float64 { return float64(r.n) / r.took.Seconds() }

// TestStatsScales checks that forwarding goes on while Stats looks at many ports.
func TestStatsScales(t *testing.T) {
	ports, calls := 30_000, 20
	if raceEnabled && testing.Short() {
		ports, calls = 4000, 3
	}
	sw := vswitch.New(vswitch.Config{NumPorts: ports, Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{Policy: vswitch.TailDrop})}})
	defer sw.Close()
	for n := 1; n <= ports; n++ {
		if err := sw.SetPort(n, vswitch.PortConfig{Policy: vswitch.TailDrop}); err != nil {
			t.Fatal(err)
		}
	}
	from := attach(t, sw, 1)
	attach(t, sw, 2)
	var batches atomic.Int64
	var longest time.Duration
	stop := make(chan struct{})
	var sender sync.WaitGroup
	sender.Go(func() {
		batch := [][]byte{testFrame(macB, macA, 60, 1)}
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := from.WriteBatch(batch); err != nil {
				t.Error(err)
				return
			}
			batches.Add(1)
			now := time.Now()
			longest, last = max(longest, now.Sub(last)), now
		}
	})
	var during, alone rateOf
	for range calls {
		var s vswitch.Stats
		during.measure(&batches, func() { s = sw.Stats() })
		alone.measure(&batches, func() { time.Sleep(10 * time.Millisecond) })
		if len(s.Ports) != ports {
			t.Fatalf("%d ports", len(s.Ports))
		}
		checkAccounts(t, s)
	}
	close(stop)
	sender.Wait()
	t.Logf("a call takes %v, %.0f batches a second meanwhile, %.0f otherwise, longest gap %v",
		during.took/time.Duration(calls), during.rate(), alone.rate(), longest)
	if during.rate() < alone.rate()/20 {
		t.Error("forwarding stops for Stats")
	}
	if in := sw.Stats().Ports[0].In; in.Frames != uint64(batches.Load()) {
		t.Errorf("%d frames counted of %d", in.Frames, batches.Load())
	}
}
