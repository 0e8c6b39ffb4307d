// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// A switch with a Config that cannot be fails in each function that returns an error.
func TestConfigErrors(t *testing.T) {
	for name, cfg := range map[string]vswitch.Config{
		"ports":       {NumPorts: -1},
		"frame":       {MaxFrameSize: 70000},
		"table":       {MaxFDBEntries: -1},
		"vlan":        {DefaultPort: vswitch.PortConfig{VLAN: 4096}},
		"tagged":      {DefaultPort: vswitch.PortConfig{Tagged: []uint16{4095}}},
		"policy":      {DefaultPort: vswitch.PortConfig{Policy: 3}},
		"wait":        {DefaultPort: vswitch.PortConfig{Wait: -2}},
		"queue":       {DefaultPort: vswitch.PortConfig{Queue: -1}},
		"storm":       {DefaultPort: vswitch.PortConfig{StormLimit: -1}},
		"station":     {Ports: map[int]vswitch.PortConfig{1: {Static: []vswitch.StaticEntry{{MAC: frame.Broadcast()}}}}},
		"everywhere":  {DefaultPort: vswitch.PortConfig{Static: []vswitch.StaticEntry{{MAC: macA}}}},
		"port 5000":   {Ports: map[int]vswitch.PortConfig{5000: {}}},
		"mode":        {Mode: 0o1000},
		"group ctl":   {PortGroups: map[string]vswitch.PortGroup{"ctl": {First: 1, Last: 1}}},
		"group 7":     {PortGroups: map[string]vswitch.PortGroup{"7": {First: 1, Last: 1}}},
		"group range": {PortGroups: map[string]vswitch.PortGroup{"lan": {}}},
		"overlap":     {PortGroups: map[string]vswitch.PortGroup{"a": {First: 1, Last: 5}, "b": {First: 5, Last: 6}}},
	} {
		sw := vswitch.New(cfg)
		if _, err := sw.Attach(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := sw.Listen(t.TempDir()); err == nil {
			t.Errorf("%s: no error from Listen", name)
		}
		if err := sw.SetPort(1, vswitch.PortConfig{}); err == nil {
			t.Errorf("%s: no error from SetPort", name)
		}
		sw.Stats()
		sw.Ports()
		sw.FDB()
		sw.Close()
	}
}
