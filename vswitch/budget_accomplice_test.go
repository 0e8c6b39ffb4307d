// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestWaitBudgetIsOwn checks that what a port costs one sender does not depend on
// what other senders find there: here one that has frames for no other port.
func TestWaitBudgetIsOwn(t *testing.T) {
	const saved, pause = 50 * time.Millisecond, 100 * time.Microsecond
	length := budgetTime()
	synctest.Test(t, func(t *testing.T) {
		cfg := vswitch.Config{Ports: make(map[int]vswitch.PortConfig)}
		for _, n := range []int{2, 10} {
			cfg.Ports[n] = withStatic(stationMAC(n), vswitch.PortConfig{})
		}
		sw := vswitch.New(cfg)
		var others sync.WaitGroup
		defer others.Wait()
		defer sw.Close()
		from, good, slow, accomplice := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 10), attach(t, sw, 3)
		others.Go(func() { readAll(good) })
		others.Go(func() { readPeriodically(slow, 19*time.Millisecond, vswitch.DefaultQueue) })
		others.Go(func() { writeAll(accomplice, testFrame(stationMAC(10), stationMAC(3), 60, 3)) })
		for start := time.Now(); time.Since(start) < length; time.Sleep(pause) {
			write64(t, from, stationMAC(10), 32, stationMAC(2), 32)
		}
		limit := length/20 + saved
		if waited := vswitch.Waited(sw, 1); waited > limit || waited == 0 {
			t.Errorf("waited %v of %v, want at most %v and some", waited, length, limit)
		}
		checkAccounts(t, sw.Stats())
	})
}

// writeAll writes f again and again, until c ends.
func writeAll(c *vde.Conn, f []byte) {
	for {
		if _, err := c.Write(f); err != nil {
			return
		}
	}
}
