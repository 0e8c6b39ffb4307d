// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import "sync"

// A bucket is a token bucket: it lets a number of frames per second pass.
type bucket struct {
	mu     sync.Mutex
	rate   float64 // guarded by mu; tokens per second, 0 for no limit
	burst  float64 // guarded by mu
	tokens float64 // guarded by mu
	last   int64   // guarded by mu; when tokens was right, in nanoseconds
}

// minBurst is what a bucket holds at least: one batch.
const minBurst = 64

func (b *bucket) configure(rate int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == float64(rate) {
		return
	}
	b.rate = float64(rate)
	b.burst = max(b.rate/10, minBurst)
	b.tokens = b.burst
}

// take reports whether one more frame may pass.
func (b *bucket) take(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now > b.last {
		b.tokens = min(b.burst, b.tokens+float64(now-b.last)*b.rate/1e9)
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// charge takes n tokens for more frames of one that take let pass, whether or not
// they are there: later ones pay.
func (b *bucket) charge(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens -= float64(n)
}
