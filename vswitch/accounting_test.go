// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// checkAccounts checks what Stats promises.
func checkAccounts(t testing.TB, s vswitch.Stats) {
	t.Helper()
	copies, offered := uint64(0), s.Monitors.Offered
	for _, p := range s.Ports {
		if p.In.Frames != p.In.Forwarded+p.In.Dropped.Sum() {
			t.Errorf("port %d: in: %+v", p.Port, p.In)
		}
		if p.Out.Offered != p.Out.Frames+p.Out.Dropped.Sum()+p.Out.Queued || p.Out.Queued > 1<<40 {
			t.Errorf("port %d: out: %+v", p.Port, p.Out)
		}
		copies += p.In.Copies
		offered += p.Out.Offered
	}
	if copies != offered {
		t.Errorf("%d copies made, %d offered", copies, offered)
	}
}

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

// Every frame is accounted for, whatever the policies, at any moment and exactly
// at the end.
func TestAccounting(t *testing.T) {
	for _, policy := range []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop} {
		t.Run(policy.String(), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			pc := vswitch.PortConfig{Policy: policy, Queue: 32, Wait: 100 * time.Microsecond, Tagged: []uint16{1, 2}}
			sw := vswitch.New(vswitch.Config{DefaultPort: pc, Ports: map[int]vswitch.PortConfig{
				3: {VLAN: 1, Policy: policy, Queue: 8, StormLimit: 1000}, 4: {VLAN: 2, Policy: policy, MACLimit: 2},
			}, MaxFrameSize: 2000})
			testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
			defer sw.Close()
			const stations = 6
			var conns []*vde.Conn
			for i := range stations {
				conns = append(conns, attach(t, sw, i+1))
			}
			tap, err := sw.Monitor(2)
			if err != nil {
				t.Fatal(err)
			}
			if err := sw.Mirror(1, 5); err != nil {
				t.Fatal(err)
			}
			var writers, readers sync.WaitGroup
			for i, c := range append(slices.Clone(conns), tap) {
				if i == 5 {
					continue // never reads
				}
				readers.Go(func() {
					if i%2 == 0 {
						for f := range c.Frames() {
							f.Release()
						}
						return
					}
					bufs := make([][]byte, 7)
					for {
						for k := range bufs {
							bufs[k] = make([]byte, 3000)
						}
						if _, err := c.ReadBatch(bufs); err != nil {
							return
						}
					}
				})
			}
			sent := make([]uint64, stations)
			for i, c := range conns {
				writers.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 300 {
						batch := make([][]byte, 1+r.IntN(100))
						for k := range batch {
							batch[k] = randomFrame(r)
						}
						var n int
						var err error
						if r.IntN(3) == 0 {
							n, err = c.TryWriteBatch(batch)
						} else {
							n, err = c.WriteBatch(batch)
						}
						if err != nil && !errors.Is(err, vde.ErrFull) {
							t.Error(err)
						}
						sent[i] += uint64(n)
					}
				})
			}
			done := make(chan struct{})
			var watcher sync.WaitGroup
			watcher.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						checkAccounts(t, sw.Stats())
					}
				}
			})
			writers.Wait()
			close(done)
			watcher.Wait()
			until(t, "queues read", func() bool {
				for _, p := range sw.Stats().Ports {
					if p.Out.Queued != 0 && p.Port != 6 {
						return false
					}
				}
				return sw.Stats().Monitors.Queued == 0
			})
			s := sw.Stats()
			checkAccounts(t, s)
			for i, p := range s.Ports {
				if p.In.Frames != sent[i] {
					t.Errorf("port %d: %d frames came, %d were sent", p.Port, p.In.Frames, sent[i])
				}
				if n := p.Out.Queued; p.Port == 6 && n != 32 {
					t.Errorf("port 6, which nobody reads, has %d queued", n)
				}
			}
			for i, c := range append(slices.Clone(conns), tap) {
				c.Close()
				if i == 5 {
					continue
				}
				out := s.Monitors
				if i < stations {
					out = s.Ports[i].Out
				}
				st := c.Stats()
				if got := st.RxFrames + st.RxDiscarded + st.RxRunts + st.RxTruncated; got != out.Frames {
					t.Errorf("connection %d got %d frames, the switch counts %d", i+1, got, out.Frames)
				}
			}
			readers.Wait()
			if s := sw.Stats(); s.Ports[5].Out.Dropped.Closed != 32 {
				t.Errorf("port 6: %+v", s.Ports[5].Out)
			}
			checkAccounts(t, sw.Stats())
		})
	}
}

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
