// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// connPair returns two connections whose data sockets are each other's peers, and
// what makes the network hang up on both.
func connPair(t testing.TB, opts ...vde.Option) (a, b *vde.Conn, hangup func()) {
	t.Helper()
	sw := testutil.FakePointToPoint(t)
	other := make(chan *vde.Conn, 1)
	go func() {
		c, err := vde.Open(conntest.Watchdog(t), sw.VNL(), opts...)
		if err != nil {
			t.Error(err)
		}
		other <- c
	}()
	a = conntest.Open(t, sw.VNL(), opts...)
	if b = <-other; b == nil {
		t.FailNow()
	}
	t.Cleanup(func() { b.Close() })
	return a, b, sw.HangupAll
}

// numbered returns a broadcast frame with n in it.
func numbered(n byte) []byte {
	f := frame.AppendHeader(make([]byte, 0, frame.MinLen), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, n}, frame.EtherTypeExperimental)
	return append(f, n)[:frame.MinLen]
}
