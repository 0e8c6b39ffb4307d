// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"testing"
	"time"
)

// A link that was full for long, or once, and has not been since may have nothing left
// to read: frames for it that others hold up are charged.
func TestIdleAfterFull(t *testing.T) {
	now := time.Now()
	var once, long rateMeter
	once.update(now, 512)
	for i := range 10 {
		long.update(now.Add(time.Duration(i-10)*time.Second), 512)
	}
	long.update(now, 512)
	for name, m := range map[string]*rateMeter{"once": &once, "long": &long} {
		if n := m.takenSince(now.Add(time.Millisecond)); n >= leastQueue {
			t.Errorf("%s: %.0f frames were taken within a millisecond", name, n)
		}
		if n := m.takenSince(now.Add(time.Second)); n < leastQueue {
			t.Errorf("%s: %.0f frames were taken within a second", name, n)
		}
	}
}
