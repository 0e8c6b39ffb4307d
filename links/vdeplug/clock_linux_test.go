// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestClockOffset runs tests of the handshake's deadlines again where the monotonic
// clock is ten years ahead: only differences may count.
func TestClockOffset(t *testing.T) {
	testpeers.RunWithClockOffset(conntest.Watchdog(t), t,
		"TestOpenContext", "TestOpenContextEndedBefore", "TestOpenHangs", "TestOpenDefaultBound", "TestOpenSilentRefusal", "TestOpenClockStep")
}

// A steppedContext is a context whose deadline is given by the wall clock, which
// has been set since: it ends when it did before, but the deadline seems to be
// another.
type steppedContext struct {
	context.Context
	by time.Duration
}

// Deadline implements context.Context.
func (c steppedContext) Deadline() (time.Time, bool) {
	d, ok := c.Context.Deadline()
	return d.Round(0).Add(c.by), ok
}

// within returns a context that ends after d, with a deadline without a monotonic
// reading, which then seems to be another by so much.
func within(t *testing.T, d, by time.Duration) context.Context {
	ctx, cancel := context.WithDeadline(conntest.Watchdog(t), time.Now().Add(d).Round(0))
	t.Cleanup(cancel)
	return steppedContext{ctx, by}
}

// TestOpenClockStep opens with deadlines by the wall clock, as they are, and as
// they seem to be after that clock was set forward or back. Only the end of the
// context may count.
func TestOpenClockStep(t *testing.T) {
	testutil.NoLeaks(t)
	for name, by := range map[string]time.Duration{"as it is": 0, "set forward": -24 * time.Hour, "set back": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Run("join", func(t *testing.T) {
				defer vdeplug.SetProbeDelay(time.Hour)()
				sw := testutil.NewFakeSwitch(t)
				c, err := vde.Open(within(t, conntest.Patience, by), sw.VNL())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				conntest.Works(t, c, conntest.Next(t, sw))
			})
			t.Run("port refused", func(t *testing.T) {
				defer vdeplug.SetProbeDelay(time.Millisecond)()
				sw := testutil.NewFakeSwitch(t, testutil.FakeIgnorePort(5))
				err := conntest.FailsToOpen(t, within(t, conntest.Patience, by), sw.VNL()+"[5]")
				checkOpenError(t, sw.VNL()+"[5]", err, vde.ErrPortRefused)
			})
			t.Run("silence", func(t *testing.T) {
				defer vdeplug.SetProbeDelay(time.Hour)()
				sw := testutil.NewFakeSwitch(t, testutil.FakeSilence)
				err := conntest.FailsToOpen(t, within(t, 20*time.Millisecond, by), sw.VNL())
				checkOpenError(t, sw.VNL(), err, context.DeadlineExceeded)
				noStrays(t, sw)
				if n := len(sw.Requests()); by != 0 && n > 1 {
					t.Errorf("%d requests: the switch was asked at once whether its silence is a refusal", n)
				}
			})
		})
	}
}
