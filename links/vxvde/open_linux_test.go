// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde_test

import (
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/links/vxvde"
)

// TestTTL sets the parameter for datagrams to the group only.
func TestTTL(t *testing.T) {
	n, _ := testpeers.NewVeth(t)
	for locator, want := range map[string]int{
		"vxvde://":          1,
		"vxvde:///v6":       1,
		"vxvde:///v6/ttl=7": 7,
		"vxvde:///ttl=7/bind=" + testpeers.VethA4:    7,
		"vxvde:///v6/ttl=7/bind=" + testpeers.VethA6: 7,
	} {
		err := n.Do(func() error {
			multicast, unicast, err := vxvde.TTLs(t.Context(), locator)
			if err == nil && (multicast != want || unicast <= 7) {
				t.Errorf("%s: %d for the group, %d for others", locator, multicast, unicast)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", locator, err)
		}
	}
}

// TestNoRoute says what to do where the system does not know how to reach the group.
func TestNoRoute(t *testing.T) {
	n := testpeers.NewNamespace(t)
	if _, err := tryOpen(n, "vxvde://"); err == nil || !strings.Contains(err.Error(), "if=") {
		t.Errorf("%v, want a remedy", err)
	}
	if _, err := tryOpen(n, "vxvde://ff02::1"); err == nil || !strings.Contains(err.Error(), "ff02::1%eth0") {
		t.Errorf("a group of a link: %v, want a remedy", err)
	}
	if _, err := tryOpen(n, "vxvde:///if=nosuch"); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("no interface: %v", err)
	}
	open(t, n, "vxvde:///if=lo")
}
