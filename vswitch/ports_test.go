// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"slices"
	"testing"

	"github.com/go-vde/sdk/vswitch"
)

// TestPortsConfigured: ports that have never been in use are listed if they have a
// configuration of their own.
func TestPortsConfigured(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{7: {VLAN: 5}, 2: {VLAN: 3}}})
	defer sw.Close()
	attach(t, sw, 3)
	var got []int
	for _, p := range sw.Ports() {
		got = append(got, p.Number)
		if p.Number == 7 && p.Config.VLAN != 5 {
			t.Errorf("%+v", p)
		}
	}
	if !slices.Equal(got, []int{2, 3, 7}) {
		t.Errorf("ports %v, want 2, 3 and 7", got)
	}
}
