// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// stationMAC is the address of the station at port n.
func stationMAC(n int) frame.MAC { return frame.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)} }

// TestWaitBudget checks, with a clock that stands still while anybody runs, that a
// sender waits for slow ports, however they read and however many there are, for no
// more than a 20th of its time, and what it has saved before.
func TestWaitBudget(t *testing.T) {
	const saved = 50 * time.Millisecond
	length := budgetTime()
	for _, test := range []struct {
		name   string
		ports  int
		period time.Duration // 0: never
		frames int           // read at a time
		to     frame.MAC     // besides the slow ports
	}{
		{"never", 1, 0, 0, stationMAC(2)},
		{"every 100 ms", 1, 100 * time.Millisecond, 1, stationMAC(2)},
		{"every ms", 1, time.Millisecond, 1, stationMAC(2)},
		{"every ms, flood", 1, time.Millisecond, 1, frame.Broadcast()},
		{"burst", 1, 19 * time.Millisecond, 512, stationMAC(2)},
		{"burst, flood", 1, 19 * time.Millisecond, 512, frame.Broadcast()},
		{"half the queue", 1, 10 * time.Millisecond, 256, stationMAC(2)},
		{"many at a good rate", 4, 12 * time.Millisecond, 512, stationMAC(2)},
		{"too late", 1, vswitch.DefaultWait + 1, 1, stationMAC(2)},
		{"many", 100, 5 * time.Millisecond, 1, stationMAC(2)},
		{"many that never read", 100, 0, 0, stationMAC(2)},
	} {
		if testing.Short() && test.ports > 1 && test.period > 0 {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := vswitch.Config{Ports: map[int]vswitch.PortConfig{2: withStatic(stationMAC(2), vswitch.PortConfig{})}}
				for i := range test.ports {
					cfg.Ports[10+i] = withStatic(stationMAC(10+i), vswitch.PortConfig{})
				}
				sw := vswitch.New(cfg)
				var readers sync.WaitGroup
				defer readers.Wait()
				defer sw.Close()
				from, good := attach(t, sw, 1), attach(t, sw, 2)
				readers.Go(func() { readAll(good) })
				for i := range test.ports {
					c := attach(t, sw, 10+i)
					if test.period > 0 {
						readers.Go(func() { readPeriodically(c, test.period, test.frames) })
					}
				}
				start := time.Now()
				for next := 0; time.Since(start) < length; next++ {
					write64(t, from, stationMAC(10+next%test.ports), 32, test.to, 32)
					time.Sleep(budgetPause(test.ports))
				}
				limit := length/20 + saved
				if waited := vswitch.Waited(sw, 1); waited > limit || waited == 0 {
					t.Errorf("waited %v of %v, want at most %v and some", waited, length, limit)
				}
				checkAccounts(t, sw.Stats())
			})
		})
	}
}

// budgetPause is how long a sender pauses between batches for so many slow ports: short
// enough to fill the queue of each.
func budgetPause(ports int) time.Duration {
	if testing.Short() && ports == 1 {
		return 400 * time.Microsecond
	}
	return 100 * time.Microsecond
}

// budgetTime is how long the senders of these tests send, by a clock that costs
// nothing; what they do costs the race detector a second for each.
func budgetTime() time.Duration {
	switch {
	case raceEnabled && testing.Short():
		return time.Second / 2
	case raceEnabled || testing.Short():
		return time.Second
	}
	return 5 * time.Second
}

// write64 writes a batch of n frames for a and m for b.
func write64(t *testing.T, c *vde.Conn, a frame.MAC, n int, b frame.MAC, m int) {
	t.Helper()
	batch := slices.Repeat([][]byte{testFrame(a, stationMAC(1), 60, 1)}, n)
	batch = append(batch, slices.Repeat([][]byte{testFrame(b, stationMAC(1), 60, 2)}, m)...)
	if k, err := c.WriteBatch(batch); err != nil {
		t.Fatal(k, err)
	}
}

// readAll reads as fast as it can, until c ends.
func readAll(c *vde.Conn) {
	bufs := newBufs(64)
	for {
		if _, err := c.ReadBatch(bufs); err != nil {
			return
		}
	}
}

// readPeriodically reads n frames at a time, until c ends.
func readPeriodically(c *vde.Conn, period time.Duration, n int) {
	bufs := newBufs(n)
	for {
		time.Sleep(period)
		for read := 0; read < n; {
			k, err := c.ReadBatch(bufs[read:])
			if err != nil {
				return
			}
			read += k
		}
	}
}

func newBufs(n int) [][]byte {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, 100)
	}
	return bufs
}

// TestBackpressureIsLossless checks that no frame is lost between two ports of which
// the reader is often kept from running, but keeps up over time, while the sender has
// a frame for others now and then.
func TestBackpressureIsLossless(t *testing.T) {
	for _, test := range []struct {
		period time.Duration // of the reader
		frames int           // that it reads at a time
		others time.Duration // between frames for others; 0 for none
	}{
		{15 * time.Millisecond, vswitch.DefaultQueue, 0},
		{15 * time.Millisecond, vswitch.DefaultQueue, time.Second},
		{15 * time.Millisecond, 64, 0},
		{time.Millisecond, vswitch.DefaultQueue, 0},
		{time.Millisecond, vswitch.DefaultQueue, 50 * time.Millisecond},
	} {
		if testing.Short() && test.period == time.Millisecond {
			continue
		}
		t.Run(fmt.Sprintf("reader=%v/frames=%d/others=%v", test.period, test.frames, test.others), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{})}})
				var readers sync.WaitGroup
				defer readers.Wait()
				defer sw.Close()
				from, reader, other := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
				readers.Go(func() { readAll(other) })
				readers.Go(func() { readPeriodically(reader, test.period, test.frames) })
				start := time.Now()
				for last := start; time.Since(start) < 2*time.Second; {
					// Were frames dropped without waiting, the clock would stand still.
					if d := sw.Stats().Ports[1].Out.Dropped; d.Timeout+d.Stalled > 0 {
						t.Fatalf("lost %+v after %v", d, time.Since(start))
					}
					write64(t, from, macB, 64, frame.Broadcast(), 0)
					if test.others > 0 && time.Since(last) >= test.others {
						last = time.Now()
						write64(t, from, macB, 0, macC, 1)
					}
				}
				if waited := vswitch.Waited(sw, 1); waited < time.Second/2 {
					t.Errorf("waited %v only", waited)
				}
			})
		})
	}
}
