// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
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
	const few, many = 2_500, 10_000
	best := 1e9
	for range 3 { // something else may run
		a, b := attachTime(t, few), attachTime(t, many)
		ratio := b.Seconds() / a.Seconds()
		t.Logf("%d ports: %v; %d: %v, %.1f times", few, a, many, b, ratio)
		best = min(best, ratio)
	}
	// Linear: 4 times; square: 16.
	if best > 9 {
		t.Errorf("%d times as many ports take at least %.0f times as long", many/few, best)
	}
}
