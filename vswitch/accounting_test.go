// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testaccounts"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// checkAccounts checks what Stats promises.
var checkAccounts = testaccounts.Check

// counts returns the counters of port n after checking that all add up.
func counts(t testing.TB, sw *vswitch.Switch, n int) vswitch.PortStats {
	t.Helper()
	s := sw.Stats()
	checkAccounts(t, s)
	for _, p := range s.Ports {
		if p.Port == n {
			return p
		}
	}
	t.Fatal("no such port", n)
	return vswitch.PortStats{}
}

// randomFrame returns a frame among few stations, of any kind.
func randomFrame(r *rand.Rand) []byte {
	size := 14 + r.IntN(100)
	if r.IntN(10) == 0 {
		size = 14 + r.IntN(2100)
	}
	mac := func() frame.MAC {
		switch r.IntN(8) {
		case 0:
			return frame.Broadcast()
		case 1:
			return frame.MAC{1, 0, 0x5e, 0, 0, byte(r.IntN(3))}
		}
		return frame.MAC{2, 0, 0, 0, 0, byte(r.IntN(8))}
	}
	f := testFrame(mac(), mac(), size, byte(r.Uint32()))
	if r.IntN(3) == 0 {
		f = tagged(f, uint16(r.IntN(4)))[:size]
	}
	return f
}

// policies are the policies of a port whose queue is full.
var policies = []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop}

// randomSeed returns the seed of a test, and logs it.
func randomSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return seed
}

// watchAccounts checks the statistics of sw every millisecond until stop is called.
func watchAccounts(t *testing.T, sw *vswitch.Switch) (stop func()) {
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				checkAccounts(t, sw.Stats())
			}
		}
	})
	return func() {
		close(done)
		watcher.Wait()
	}
}

// readFrames reads from the channel of c until c is closed.
func readFrames(c *vde.Conn) {
	for f := range c.Frames() {
		f.Release()
	}
}

// readBatches reads batches until c is closed.
func readBatches(c *vde.Conn) {
	slab := make([]byte, 16*2048)
	bufs := make([][]byte, 16)
	for {
		for i := range bufs {
			bufs[i] = slab[i*2048:][:2048]
		}
		if _, err := c.ReadBatch(bufs); err != nil {
			return
		}
	}
}

// writeRandom sends batches of random frames, with and without waiting, and returns
// how many frames were taken.
func writeRandom(t *testing.T, c *vde.Conn, r *rand.Rand) (sent uint64) {
	batches := 300
	if testing.Short() {
		batches = 100
	}
	for range batches {
		batch := make([][]byte, 1+r.IntN(100))
		for k := range batch {
			batch[k] = randomFrame(r)
		}
		send := c.WriteBatch
		if r.IntN(3) == 0 {
			send = c.TryWriteBatch
		}
		n, err := send(batch)
		if err != nil && !errors.Is(err, vde.ErrFull) {
			t.Error(err)
		}
		sent += uint64(n)
	}
	return sent
}

// Every frame is accounted for, whatever the policies, at any moment and exactly
// at the end.
func TestAccounting(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) { testAccounting(t, policy) })
	}
}

// accountingConfig has ports that drop for all causes. Most queues have a depth.
func accountingConfig(policy vswitch.Policy, depth int) vswitch.Config {
	return vswitch.Config{
		MaxFrameSize: 2000,
		DefaultPort:  vswitch.PortConfig{Policy: policy, Queue: depth, Wait: 100 * time.Microsecond, Tagged: []uint16{1, 2}},
		Ports: map[int]vswitch.PortConfig{
			3: {VLAN: 1, Policy: policy, Queue: 8, StormLimit: 1000},
			4: {VLAN: 2, Policy: policy, MACLimit: 2},
		},
	}
}

func testAccounting(t *testing.T, policy vswitch.Policy) {
	const (
		stations = 6
		unread   = 6  // the port that nobody reads
		depth    = 32 // of the queues
	)
	seed := randomSeed(t)
	sw := vswitch.New(accountingConfig(policy, depth))
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	conns := attachMany(t, sw, stations)
	monitor, err := sw.Monitor(2)
	if err := errors.Join(err, sw.Mirror(1, 5)); err != nil {
		t.Fatal(err)
	}
	var writers, readers sync.WaitGroup
	for i, c := range append(slices.Clone(conns), monitor) {
		switch {
		case i+1 == unread:
		case i%2 == 0:
			readers.Go(func() { readFrames(c) })
		default:
			readers.Go(func() { readBatches(c) })
		}
	}
	sent := make([]uint64, stations)
	for i, c := range conns {
		writers.Go(func() { sent[i] = writeRandom(t, c, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	stop := watchAccounts(t, sw)
	writers.Wait()
	stop()
	until(t, "queues read", func() bool {
		s := sw.Stats()
		return s.Monitors.Queued == 0 && !slices.ContainsFunc(s.Ports, func(p vswitch.PortStats) bool { return p.Out.Queued != 0 && p.Port != unread })
	})
	s := sw.Stats()
	checkAccounts(t, s)
	for i, p := range s.Ports {
		if p.In.Frames != sent[i] {
			t.Errorf("port %d: %d frames came, %d were sent", p.Port, p.In.Frames, sent[i])
		}
		conns[i].Close()
	}
	monitor.Close()
	readers.Wait() // a read counts after it has taken frames out of the queue
	for i, p := range s.Ports {
		if p.Port != unread {
			checkReceived(t, fmt.Sprintf("port %d", p.Port), conns[i], p.Out)
		} else if p.Out.Queued != depth {
			t.Errorf("port %d, which nobody reads, has %d queued", p.Port, p.Out.Queued)
		}
	}
	checkReceived(t, "monitor", monitor, s.Monitors)
	s = sw.Stats()
	checkAccounts(t, s)
	if out := s.Ports[unread-1].Out; out.Dropped.Closed != depth {
		t.Errorf("port %d, which nobody reads: %+v", unread, out)
	}
}

// checkReceived compares what c has received with what the switch counts.
func checkReceived(t *testing.T, name string, c *vde.Conn, out vswitch.OutStats) {
	t.Helper()
	st := c.Stats()
	if got := st.RxFrames + st.RxDiscarded + st.RxRunts + st.RxTruncated; got != out.Frames {
		t.Errorf("%s: %d frames received, the switch counts %d", name, got, out.Frames)
	}
}

// Statistics and ports can be written as JSON and read again.
func TestStatsMarshal(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	a := attach(t, sw, 1)
	write(t, a, testFrame(frame.Broadcast(), macA, 60, 0))
	b, err := json.Marshal(sw.Stats())
	if err != nil {
		t.Fatal(err)
	}
	var s vswitch.Stats
	if err := json.Unmarshal(b, &s); err != nil || s.Ports[0] != sw.Stats().Ports[0] {
		t.Errorf("%s: %v", b, err)
	}
	if b, err = json.Marshal(sw.Ports()); err != nil {
		t.Fatal(err)
	}
	var ports []vswitch.PortInfo
	if err := json.Unmarshal(b, &ports); err != nil || ports[0].Config.Policy != vswitch.Backpressure {
		t.Errorf("%s: %v", b, err)
	}
}
