// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"fmt"
	"testing"

	"github.com/go-vde/sdk/internal/switchtest"
	"github.com/go-vde/sdk/internal/testpeers"
)

// TestInterop runs the suite for switches against every stock switch there is.
func TestInterop(t *testing.T) {
	vdeSwitch := func(t testing.TB, cfg switchtest.Config) switchtest.Switch {
		return testpeers.StartSwitch(t, testpeers.SwitchConfig{
			Dir: cfg.Dir, Ports: cfg.Ports, Hub: cfg.Hub, Mode: cfg.Mode, DirMode: cfg.DirMode, User: cfg.User,
		})
	}
	node := func(kind string) switchtest.Start {
		return func(t testing.TB, cfg switchtest.Config) switchtest.Switch {
			var params []string
			if cfg.Mode != 0 {
				params = append(params, fmt.Sprintf("mode=%o", cfg.Mode))
			}
			return testpeers.StartNode(t, kind, params...)
		}
	}
	for i, tt := range []struct {
		name  string
		start switchtest.Start
		opts  switchtest.Options
	}{
		{"vde_switch", vdeSwitch, switchtest.Options{Lossy: true, GroupSources: true, MaxFrame: 1518, Cuts: true}},
		{"vde_switch_hub", vdeSwitch, switchtest.Options{Lossy: true, GroupSources: true, MaxFrame: 1518, Cuts: true, Hub: true}},
		{"vdeplug_switch_node", node("switch"), switchtest.Options{Lossy: true, GroupSources: true, Cuts: true, NoPorts: true, FixedDir: true, FixedUser: true}},
		{"vdeplug_hub_node", node("hub"), switchtest.Options{Lossy: true, GroupSources: true, Cuts: true, NoPorts: true, FixedDir: true, FixedUser: true, Hub: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if i > 0 && testing.Short() {
				t.Skip("each other switch takes as long again")
			}
			switchtest.Run(t, tt.start, tt.opts)
		})
	}
}
