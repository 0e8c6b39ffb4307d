// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"slices"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// TestPools checks that the statistics of a switch's buffers can be read, from
// the switch and from a connection.
func TestPools(t *testing.T) {
	if p := vswitch.New(vswitch.Config{NumPorts: -1}).Pools(); p != nil {
		t.Errorf("pools of a switch whose configuration is refused: %v", p)
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	testutil.NoLiveBuffers(t, "frames", sw.Pools()...)
	live := func() (n int64) {
		for _, p := range sw.Pools() {
			n += p.Stats().Live
		}
		return n
	}
	a, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if !slices.Equal(b.FramePools(), sw.Pools()) || len(sw.Pools()) == 0 {
		t.Errorf("pools of the connection: %v, of the switch: %v", b.FramePools(), sw.Pools())
	}
	for range 3 {
		if _, err := a.Write(conntest.Frame(60, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if n := live(); n != 3 {
		t.Errorf("%d buffers are live while 3 frames wait", n)
	}
	for left := int64(2); left >= 0; left-- {
		conntest.Await(t, "a frame", b.Frames()).Release()
		if n := live(); n != left {
			t.Errorf("%d buffers are live, want %d", n, left)
		}
	}
	sw.Pools()[0] = nil // of the caller's slice
	if sw.Pools()[0] == nil {
		t.Error("Pools returns its own slice")
	}
}
