// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestImpairClients: the frames of clients of a control directory are impaired, however
// they are carried, in order, until the client leaves.
func TestImpairClients(t *testing.T) {
	for name, opts := range map[string][]vde.Option{
		"socket":        {vde.WithSharedMemory(vde.SharedMemoryNever), vde.WithStreams(vde.StreamsNever)},
		"stream":        {vde.WithSharedMemory(vde.SharedMemoryNever)},
		"shared memory": {vde.WithSharedMemory(vde.SharedMemoryAlways)},
	} {
		t.Run(name, func(t *testing.T) { testImpairClient(t, opts) })
	}
}

func testImpairClient(t *testing.T, opts []vde.Option) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Queue: 4096}, Ports: map[int]vswitch.PortConfig{
		1: withStatic(macA, vswitch.PortConfig{Queue: 4096}), 2: withStatic(macB, vswitch.PortConfig{Queue: 4096}),
	}})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	dir := serve(t, sw)
	defer sw.Close()
	a, b := open(t, dir, append(opts, vde.WithPort(1))...), attach(t, sw, 2)
	p := impairedPair{sw, a, b}
	for _, w := range p.ways(impair.Impairment{Delay: 30 * time.Millisecond, Jitter: 10 * time.Millisecond}) {
		setImpair(t, sw, 1, w.config)
		start := time.Now()
		w.send(t, 0, 300)
		if got := w.take(t, 300); !slices.Equal(got, impairedUpTo(300)) {
			t.Errorf("%s: %v", w.name, got)
		}
		if d := time.Since(start); d < 20*time.Millisecond {
			t.Errorf("%s: after %v", w.name, d)
		}
		w.config.In.Loss, w.config.Out.Loss = 1, 1
		setImpair(t, sw, 1, w.config)
		w.send(t, 0, 10)
		until(t, w.name+": frames lost", func() bool {
			s := counts(t, sw, 1)
			return w.name == "in" && s.In.Dropped.Impaired == 10 || w.name == "out" && s.Out.Dropped.Impaired == 10
		})
	}
	for _, w := range p.ways(impair.Impairment{Delay: time.Millisecond, Duplicate: 1}) {
		setImpair(t, sw, 1, w.config)
		w.exchangeSizes(t)
	}
	// The client leaves with frames under way.
	hour := impair.Impairment{Delay: time.Hour}
	setImpair(t, sw, 1, impair.Config{In: hour, Out: hour})
	before := counts(t, sw, 1)
	for _, w := range p.ways(hour) {
		w.send(t, 0, 100)
	}
	until(t, "frames under way", func() bool { return vswitch.UnderWay(sw, 1) == 200 })
	a.Close()
	until(t, "frames dropped", func() bool {
		s := counts(t, sw, 1)
		return s.In.Dropped.Closed-before.In.Dropped.Closed == 100 && s.Out.Dropped.Closed-before.Out.Dropped.Closed == 100
	})
}

// exchangeSizes checks that frames of all sizes arrive twice and unchanged.
func (w impairedWay) exchangeSizes(t *testing.T) {
	t.Helper()
	sizes := []int{frame.HeaderLen, 192, 193, 2000, 3000, frame.DefaultMaxSize}
	for i, size := range sizes {
		write(t, w.from, testFrame(w.dst, w.src, size, byte(i+1)))
	}
	if err := w.to.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, frame.DefaultMaxSize)
	for i, size := range sizes {
		for range 2 {
			n, err := w.to.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b[:n], testFrame(w.dst, w.src, size, byte(i+1))) {
				t.Errorf("%s: %d bytes came as %d, %x", w.name, size, n, b[:min(n, 30)])
			}
		}
	}
}

// take reads n frames and returns their numbers.
func (w impairedWay) take(t *testing.T, n int) (list []int) {
	t.Helper()
	if err := w.to.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	for range n {
		if _, err := w.to.Read(b); err != nil {
			t.Fatalf("after %d frames: %v", len(list), err)
		}
		list = append(list, int(b[16])<<8|int(b[17]))
	}
	return list
}
