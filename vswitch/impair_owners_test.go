// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build poolleak

package vswitch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// TestImpairOwners checks that leak mode names the impairments in which frames are under
// way, and nobody when they have left.
func TestImpairOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		testutil.NoLiveBuffers(t, "frames", sw.Pools()...)
		a, b := attach(t, sw, 1), attach(t, sw, 2)
		setImpair(t, sw, 1, impair.Config{In: impair.Impairment{Delay: time.Second, Duplicate: 1}})
		setImpair(t, sw, 2, impair.Config{Out: impair.Impairment{Delay: time.Second}})
		write(t, a, ownedFrame())
		wantLeaks(t, sw, `, held by the impairment of frames from port 1 \(".*"\)`)
		time.Sleep(time.Second)
		synctest.Wait()
		wantLeaks(t, sw, `, held by the impairment of frames to port 2 \(".*"\)`)
		time.Sleep(time.Second)
		synctest.Wait()
		wantLeaks(t, sw, `, held by the queue of port 2 \(".*"\)`)
		if n := len(received(t, sw, b)); n != 2 {
			t.Errorf("%d frames", n)
		}
		write(t, a, ownedFrame())
		a.Close()
		wantLeaks(t, sw)
	})
}
