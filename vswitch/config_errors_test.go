// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// TestStaticEntryErrors checks that the error about a static entry says what is
// wrong with it.
func TestStaticEntryErrors(t *testing.T) {
	for _, tt := range []struct {
		entry vswitch.StaticEntry
		want  string
	}{
		{vswitch.StaticEntry{MAC: macA, VLAN: 4094}, ""},
		{vswitch.StaticEntry{MAC: frame.Broadcast()}, "invalid configuration of port 1: Static: ff:ff:ff:ff:ff:ff is a group address, want a unicast MAC address"},
		{vswitch.StaticEntry{MAC: macA, VLAN: 4095}, "invalid configuration of port 1: Static: " + macA.String() + " in VLAN 4095, want VLAN 0 to 4094"},
	} {
		sw := vswitch.New(vswitch.Config{})
		got := ""
		if err := sw.SetPort(1, vswitch.PortConfig{Static: []vswitch.StaticEntry{tt.entry}}); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.entry, got, tt.want)
		}
		sw.Close()
	}
}
