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

// TestOpenClockStep opens with deadlines that have no monotonic reading, as they
// are, and as they seem to be after the wall clock was set forward or back. Only
// the end of the context may count.
func TestOpenClockStep(t *testing.T) {
	testutil.NoLeaks(t)
	defer vdeplug.SetProbeDelay(time.Millisecond)()
	within := func(d, by time.Duration) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithDeadline(conntest.Watchdog(t), time.Now().Add(d).Round(0))
		return steppedContext{ctx, by}, cancel
	}
	for name, by := range map[string]time.Duration{"as it is": 0, "set forward": -24 * time.Hour, "set back": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			sw := testutil.NewFakeSwitch(t)
			ctx, cancel := within(conntest.Patience, by)
			defer cancel()
			c, err := vde.Open(ctx, sw.VNL())
			if err != nil {
				t.Fatal(err)
			}
			client := conntest.Next(t, sw)
			cancel()
			conntest.Works(t, c, client)
			c.Close()

			sw = testutil.NewFakeSwitch(t, testutil.FakeIgnorePort(5))
			ctx, cancel = within(conntest.Patience, by)
			defer cancel()
			checkOpenError(t, sw.VNL()+"[5]", conntest.FailsToOpen(t, ctx, sw.VNL()+"[5]"), vde.ErrPortRefused)

			sw = testutil.NewFakeSwitch(t, testutil.FakeSilence)
			ctx, cancel = within(20*time.Millisecond, by)
			defer cancel()
			checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, ctx, sw.VNL()), context.DeadlineExceeded)
			noStrays(t, sw)
		})
	}
}
