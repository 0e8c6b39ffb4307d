// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"sync/atomic"
	"time"
)

// A governor makes everything that produces load pause between its steps, for
// longer when the processors are used more than they should be.
type governor struct {
	target float64      // processors that may be used on average
	pause  atomic.Int64 // nanoseconds
	used   atomic.Int64 // thousandths of a processor, of the last second
}

const (
	minPause = 500 * time.Microsecond
	maxPause = 500 * time.Millisecond
)

func newGovernor(target float64) *governor {
	g := &governor{target: target}
	g.pause.Store(int64(20 * time.Millisecond))
	return g
}

// wait pauses, or until ctx ends, and reports whether to go on.
func (g *governor) wait(ctx context.Context) bool {
	return pause(ctx, time.Duration(g.pause.Load()))
}

// pause waits for d and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// run adjusts the pause once a second.
func (g *governor) run(ctx context.Context) {
	before, at := processorTime(), time.Now()
	for pause(ctx, time.Second) {
		now := time.Now()
		used := processorTime()
		share := float64(used-before) / float64(now.Sub(at))
		before, at = used, now
		g.used.Store(int64(share * 1000))
		p := time.Duration(g.pause.Load())
		// Up fast and down slowly: the machine has other users.
		switch {
		case share > g.target:
			p = time.Duration(float64(p) * min(share/g.target, 1.5))
		case share < 0.9*g.target:
			p = time.Duration(float64(p) * 0.95)
		}
		g.pause.Store(int64(min(max(p, minPause), maxPause)))
	}
}
