// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"math"
	"testing"
	"time"
)

// The pause doubles up to the longest one, however long that is.
func TestRedialDelay(t *testing.T) {
	for _, longest := range []time.Duration{time.Second, 3*time.Second + 1, math.MaxInt64 - 1, math.MaxInt64} {
		p := RedialPolicy{MinDelay: time.Second, MaxDelay: longest}
		for attempt := 1; attempt < 200; attempt++ {
			want := longest
			if attempt <= 34 { // a second, doubled 33 times, is a Duration still
				want = min(longest, time.Second<<(attempt-1))
			}
			if d := p.delay(attempt); d > want || d < want/2-1 {
				t.Fatalf("longest %v, attempt %d: %v, want about %v", longest, attempt, d, want)
			}
		}
	}
}
