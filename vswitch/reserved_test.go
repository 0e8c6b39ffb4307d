// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestReservedPorts checks that a reserved port is given only to those that ask for it by
// its number, whether or not it was reserved from the beginning.
func TestReservedPorts(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{NumPorts: 4, Ports: map[int]vswitch.PortConfig{1: {Reserved: true}}})
	defer sw.Close()
	attach := func(asked, want int) {
		t.Helper()
		c, err := sw.Attach(vde.WithPort(asked))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if n, _ := sw.PortOf(c); n != want {
			t.Errorf("who asked for %d got %d, want %d", asked, n, want)
		}
	}
	attach(0, 2)
	if err := sw.SetPort(3, vswitch.PortConfig{Reserved: true}); err != nil {
		t.Fatal(err)
	}
	attach(0, 4)
	attach(3, 3)
	if _, err := sw.Attach(); !errors.Is(err, vswitch.ErrNoFreePort) {
		t.Errorf("only port 1 is free: %v", err)
	}
	if err := sw.SetPort(1, vswitch.PortConfig{}); err != nil {
		t.Fatal(err)
	}
	attach(0, 1)
}
