// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package testaccounts checks, in tests of switches and of programs that run one, that
// the counters of a switch add up.
package testaccounts

import (
	"testing"

	"github.com/go-vde/sdk/vswitch"
)

// Check checks what [vswitch.Stats] promises of a switch that forwards nothing at the
// moment: every frame is in one counter of those that it can be in.
func Check(t testing.TB, s vswitch.Stats) {
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
		offered += p.Out.Offered - p.Out.Probes - p.Out.Duplicated
	}
	if copies != offered {
		t.Errorf("%d copies made, %d offered", copies, offered)
	}
}
