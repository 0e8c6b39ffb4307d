// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestJoinsAtOnce checks that clients that join at the same time all get in, alone
// and beside as many strangers that connect and say nothing. What vde_switch does is
// logged beside it.
func TestJoinsAtOnce(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	for _, tt := range []struct {
		name      string
		strangers int
	}{{"Alone", 0}, {"AmongStrangers", n}} {
		t.Run(tt.name, func(t *testing.T) {
			sw, dir := start(t, vswitch.Config{})
			failed := joinAtOnce(t, dir, n, tt.strangers)
			if s := sw.Stats().Serve; failed > 0 || s.Joined != uint64(n) || s.Evicted > 0 {
				t.Errorf("%d of %d failed: %+v", failed, n, s)
			}
		})
		t.Run(tt.name+"AtVDESwitch", func(t *testing.T) {
			if testing.Short() {
				t.Skip("checks nothing, for comparison only")
			}
			joinAtOnce(t, testpeers.StartSwitch(t, testpeers.SwitchConfig{Ports: n}).Dir(), n, tt.strangers)
		})
	}
}

// joinAtOnce has n clients join the switch in dir, half of the strangers before and
// half of them meanwhile, and returns how many failed.
func joinAtOnce(t *testing.T, dir string, n, strangers int) int {
	dial := func() {
		c, err := net.Dial("unix", filepath.Join(dir, "ctl"))
		for errors.Is(err, unix.EAGAIN) { // its queue is full
			runtime.Gosched()
			c, err = net.Dial("unix", filepath.Join(dir, "ctl"))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	for range strangers / 2 {
		dial()
	}
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var failed atomic.Int64
	var joining sync.WaitGroup
	begin := time.Now()
	for range n {
		joining.Go(func() {
			c, err := vde.Open(ctx, dir)
			if err == nil {
				t.Cleanup(func() { c.Close() })
			} else if failed.Add(1) == 1 {
				t.Log(err)
			}
		})
	}
	for range strangers - strangers/2 {
		dial()
	}
	joining.Wait()
	t.Logf("%d joined and %d failed beside %d strangers in %v", n-int(failed.Load()), failed.Load(), strangers, time.Since(begin).Round(time.Millisecond))
	return int(failed.Load())
}
