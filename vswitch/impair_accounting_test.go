// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// randomImpairment returns an impairment of any kind, often none.
func randomImpairment(r *rand.Rand) (i impair.Impairment) {
	if r.IntN(3) == 0 {
		return i
	}
	i.Delay, i.Jitter = time.Duration(r.IntN(3))*time.Millisecond, time.Duration(r.IntN(2))*time.Millisecond
	i.Loss, i.Duplicate, i.Reorder = r.Float64()/4, r.Float64()/4, r.Float64()/4
	i.Rate, i.Queue = int64(r.IntN(2)*100e6), r.IntN(200)
	return i
}

// TestImpairAccounting: every frame is accounted for while the impairments of all ports
// change, at any moment and exactly at the end.
func TestImpairAccounting(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) { testImpairAccounting(t, policy) })
	}
}

func testImpairAccounting(t *testing.T, policy vswitch.Policy) {
	const stations = 4
	seed := randomSeed(t)
	sw := vswitch.New(accountingConfig(policy, 32))
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	conns := attachMany(t, sw, stations)
	if err := sw.Mirror(1, 2); err != nil {
		t.Fatal(err)
	}
	var writers, readers sync.WaitGroup
	sent := make([]uint64, stations)
	for i, c := range conns {
		readers.Go(func() { readBatches(c) })
		writers.Go(func() { sent[i] = writeRandom(t, c, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	done := make(chan struct{})
	var changes sync.WaitGroup
	changes.Go(func() {
		r := rand.New(rand.NewPCG(seed, stations))
		for {
			select {
			case <-done:
				return
			default:
			}
			setImpair(t, sw, 1+r.IntN(stations), impair.Config{Seed: r.Uint64N(2), In: randomImpairment(r), Out: randomImpairment(r)})
			time.Sleep(time.Duration(r.IntN(1000)) * time.Microsecond)
		}
	})
	stop := watchAccounts(t, sw)
	writers.Wait()
	stop()
	close(done)
	changes.Wait()
	for n := range stations {
		setImpair(t, sw, n+1, impair.Config{})
	}
	until(t, "impairments ended and queues read", func() bool {
		return !slices.ContainsFunc(sw.Stats().Ports, func(p vswitch.PortStats) bool {
			return p.Out.Queued != 0 || vswitch.ImpairedDirections(sw, p.Port) != 0
		})
	})
	s := sw.Stats()
	checkAccounts(t, s)
	for i, p := range s.Ports {
		if n := p.In.Frames - p.In.Duplicated; n != sent[i] {
			t.Errorf("port %d: %d frames came, %d were sent", p.Port, n, sent[i])
		}
		conns[i].Close()
	}
	readers.Wait()
	for i, p := range s.Ports {
		checkReceived(t, "", conns[i], p.Out)
	}
}

// TestImpairLossless: an impairment that loses nothing, and comes and goes while frames
// pass, loses none and keeps their order: if there is room for all that are under way,
// or if none are delayed, so that the sender has to wait as without it.
func TestImpairLossless(t *testing.T) {
	for _, name := range []string{"in", "out"} {
		t.Run(name+"/delay", func(t *testing.T) {
			testImpairLossless(t, name == "in", impair.Impairment{Delay: 200 * time.Microsecond, Queue: 1 << 20})
		})
		t.Run(name+"/none", func(t *testing.T) {
			testImpairLossless(t, name == "in", impair.Impairment{Loss: 1e-300, Queue: 256})
		})
	}
}

func testImpairLossless(t *testing.T, in bool, bad impair.Impairment) {
	frames := 5000
	if testing.Short() {
		frames = 1000
	}
	forever := vswitch.PortConfig{Wait: vswitch.Forever, Queue: 64}
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: withStatic(macA, forever), 2: withStatic(macB, forever)}})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	a, b := attach(t, sw, 1), attach(t, sw, 2)
	port, c := 2, impair.Config{Out: bad}
	if in {
		port, c = 1, impair.Config{In: bad}
	}
	var both sync.WaitGroup
	both.Go(func() { writeNumbers(t, a, frames) })
	done := make(chan struct{})
	both.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			setImpair(t, sw, port, c)
			time.Sleep(time.Millisecond)
			setImpair(t, sw, port, impair.Config{})
			time.Sleep(time.Millisecond)
		}
	})
	next := uint32(0)
	buf := make([]byte, 200)
	if err := b.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	for ; next < uint32(frames); next++ {
		n, err := b.Read(buf)
		if err != nil {
			t.Errorf("after %d frames: %v; %+v", next, err, sw.Stats().Ports)
			break
		}
		if got := binary.BigEndian.Uint32(buf[frame.HeaderLen:n]); got != next {
			t.Errorf("frame %d, want %d; %+v", got, next, sw.Stats().Ports)
			break
		}
	}
	if t.Failed() {
		b.Close()
	}
	close(done)
	both.Wait()
}

// writeNumbers writes frames with numbers from A to B, in batches.
func writeNumbers(t *testing.T, c *vde.Conn, n int) {
	batch := make([][]byte, 0, 50)
	for i := range n {
		f := testFrame(macB, macA, 60, 0)
		binary.BigEndian.PutUint32(f[frame.HeaderLen:], uint32(i))
		if batch = append(batch, f); len(batch) < cap(batch) && i < n-1 {
			continue
		}
		if _, err := c.WriteBatch(batch); err != nil {
			t.Error(err)
			return
		}
		batch = batch[:0]
	}
}

// TestImpairTry: writing without waiting stops while an impairment ends, and goes on
// when there is room, without looking for that all the time.
func TestImpairTry(t *testing.T) {
	for _, name := range []string{"in", "out"} {
		t.Run(name, func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
				2: withStatic(macB, vswitch.PortConfig{Wait: vswitch.Forever, Queue: 64}),
			}})
			defer sw.Close()
			a, b := attach(t, sw, 1), attach(t, sw, 2)
			bad := impair.Impairment{Delay: time.Hour}
			port, c := 2, impair.Config{Out: bad}
			if name == "in" {
				port, c = 1, impair.Config{In: bad}
			}
			setImpair(t, sw, port, c)
			writeNumbers(t, a, 500)
			setImpair(t, sw, port, impair.Config{}) // b takes 64 of them
			f := [][]byte{testFrame(macB, macA, 60, 0)}
			if n, err := a.TryWriteBatch(f); n != 0 || !errors.Is(err, vde.ErrFull) {
				t.Errorf("%d, %v", n, err)
			}
			l := vswitch.LinkOf(sw, a)
			room := make(chan error)
			go func() { room <- l.AwaitRoom() }()
			buf := make([]byte, 200)
			for range 500 {
				if _, err := b.Read(buf); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-room; err != nil {
				t.Error(err)
			}
			until(t, "frame taken", func() bool { n, _ := a.TryWriteBatch(f); return n == 1 })
			checkAccounts(t, sw.Stats())
		})
	}
}
