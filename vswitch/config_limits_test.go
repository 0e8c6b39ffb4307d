// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// The largest values that a Config can have are either refused or work: no sum of
// theirs overflows.
func TestLargestConfig(t *testing.T) {
	for name, cfg := range map[string]vswitch.Config{
		"WriteBuffer":              {WriteBuffer: math.MaxInt},
		"WriteBuffer of 32 bits":   {WriteBuffer: math.MaxInt32},
		"MaxSharedMemory negative": {MaxSharedMemory: -1},
		"NumPorts":                 {NumPorts: math.MaxInt},
		"MaxFrameSize":             {MaxFrameSize: math.MaxInt},
		"Queue":                    {DefaultPort: vswitch.PortConfig{Queue: math.MaxInt}},
	} {
		sw := vswitch.New(cfg)
		if c, err := sw.Attach(); err == nil {
			t.Errorf("%s: accepted", name)
			c.Close()
		}
		sw.Close()
	}
	if _, err := vde.Open(t.Context(), t.TempDir(), vde.WithWriteBuffer(math.MaxInt32)); err == nil {
		t.Error("WithWriteBuffer: accepted")
	}
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{
			AgeingTime: math.MaxInt64, HandshakeTimeout: math.MaxInt64, MaxFDBEntries: math.MaxInt, MaxPending: math.MaxInt,
			MaxSharedMemory: math.MaxInt64,
			DefaultPort:     vswitch.PortConfig{Wait: math.MaxInt64, StormLimit: math.MaxInt, MACLimit: math.MaxInt},
		})
		defer sw.Close()
		a, b := attach(t, sw, 1), attach(t, sw, 2)
		write(t, a, testFrame(macB, macA, 60, 1)) // flooded
		time.Sleep(24 * time.Hour)
		write(t, b, testFrame(macA, macB, 60, 1)) // known
		if n := len(received(t, sw, a)) + len(received(t, sw, b)); n != 2 {
			t.Errorf("%d frames, want 2", n)
		}
		if table := sw.FDB(); len(table) != 2 {
			t.Errorf("%+v", table)
		}
		if in := counts(t, sw, 2).In; in.Flooded != 0 {
			t.Errorf("%+v", in)
		}
		checkAccounts(t, sw.Stats())
	})
}
