// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestConformance runs the suite that checks what a Conn promises on pairs of
// connections: on a point-to-point network the two are each other's peers, and the
// network can hang up; otherwise a hub forwards between them.
func TestConformance(t *testing.T) {
	testutil.NoLeaks(t)
	opts := testutil.ConnOptions{Allocs: true}
	parallel := func(t *testing.T) {
		if raceEnabled { // nothing counts allocations then
			t.Parallel()
		}
	}
	t.Run("PointToPoint", func(t *testing.T) {
		parallel(t)
		testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
			a, b, hangup := connPair(tb)
			return &testutil.Pair{A: a, B: b, Hangup: hangup}, nil
		}, opts)
	})
	t.Run("Reconnecting", func(t *testing.T) {
		parallel(t)
		testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
			sw := testutil.FakeHub(tb)
			return &testutil.Pair{A: conntest.Open(tb, sw.VNL(), vde.WithReconnect(conntest.Quick)), B: conntest.Open(tb, sw.VNL(), vde.WithReconnect(conntest.Quick))}, nil
		}, opts)
	})
	t.Run("Hub", func(t *testing.T) {
		parallel(t)
		testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
			sw := testutil.FakeHub(tb)
			return &testutil.Pair{A: conntest.Open(tb, sw.VNL()), B: conntest.Open(tb, sw.VNL())}, nil
		}, opts)
	})
}
