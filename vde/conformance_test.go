// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestConformance puts pairs of connections through the suite that says, promise
// by promise, what a Conn does. On a cable the two are each other's peers, and
// the network can hang up; on a net something that forwards is between them.
func TestConformance(t *testing.T) {
	testutil.NoLeaks(t)
	opts := testutil.ConnOptions{Allocs: true}
	parallel := func(t *testing.T) {
		if raceEnabled { // nothing counts allocations then
			t.Parallel()
		}
	}
	t.Run("Cable", func(t *testing.T) {
		parallel(t)
		testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
			a, b, hangup := cable(tb)
			return &testutil.Pair{A: a, B: b, Hangup: hangup}, nil
		}, opts)
	})
	t.Run("Reconnecting", func(t *testing.T) {
		parallel(t)
		testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
			sw := testutil.FakeHub(tb)
			return &testutil.Pair{A: open(tb, sw.VNL(), vde.WithReconnect(quick)), B: open(tb, sw.VNL(), vde.WithReconnect(quick))}, nil
		}, opts)
	})
	t.Run("Net", func(t *testing.T) {
		parallel(t)
		testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
			sw := testutil.FakeHub(tb)
			return &testutil.Pair{A: open(tb, sw.VNL()), B: open(tb, sw.VNL())}, nil
		}, opts)
	})
}
