// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// TestMonitorMissed checks that each monitor session counts the copies that it has not got,
// and none of another session.
func TestMonitorMissed(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	b := attach(t, sw, 2)
	quick, err := sw.Monitor(2)
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	slow, err := sw.Monitor(2)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	f := testFrame(frame.Broadcast(), macB, 60, 1)
	sent := 0
	for sw.Stats().Monitors.Dropped.Sum() < 50 {
		write(t, b, f)
		sent++
		if got := len(received(t, sw, quick)); got != 1 {
			t.Fatalf("the session that is read got %d frames", got)
		}
	}
	got := len(received(t, sw, slow))
	if n := slow.Stats().RxMissed; n < 50 || got+int(n) != sent {
		t.Errorf("of %d frames %d were read and %d missed", sent, got, n)
	}
	if n := quick.Stats().RxMissed; n != 0 {
		t.Errorf("the session that was read has missed %d", n)
	}
	checkAccounts(t, sw.Stats())
}
