// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A silentRefusal is how a stock switch refuses a port without a word, and the error
// of Open for it.
type silentRefusal struct {
	name, params string
	script       testutil.FakeScript
	kind         error
	step         string
}

// silentNode is a node of vdeplug4: it does not answer a client that asks for port 0
// (nor anything else it does not know) and answers all others, reachable or not.
func silentNode(c *testutil.FakeClient) {
	if r, err := c.ReadRequest(); err == nil && r.Kind == 0 && r.Err == nil {
		c.Reply()
	}
}

// fullSwitch is vde_switch 2.3.2 without a free port.
func fullSwitch(c *testutil.FakeClient) {
	if _, err := c.ReadRequest(); err != nil || c.ConnectBack() != nil {
		c.Close()
	}
}

// TestOpenSilentRefusal opens ports that stock switches refuse without a word. Open
// has the hour of its context to wait, and finds out that silence is the answer.
func TestOpenSilentRefusal(t *testing.T) {
	for _, tt := range []silentRefusal{
		{"port taken", "[5]", testutil.FakeIgnorePort(5), vde.ErrPortRefused, "ask for port 5 at "},
		{"port 0 of a node", "[0]", silentNode, vde.ErrPortRefused, "ask for port 0 at "},
		{"switch full", "", fullSwitch, vde.ErrSwitchFull, "ask for a free port at "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := testutil.NewFakeSwitch(t, tt.script)
			ctx, cancel := context.WithTimeout(conntest.Watchdog(t), time.Hour)
			defer cancel()
			defer vdeplug.SetProbeDelay(5 * time.Millisecond)()
			err := conntest.FailsToOpen(t, ctx, sw.VNL()+tt.params)
			checkOpenError(t, sw.VNL()+tt.params, err, tt.kind, tt.step+sw.Dir()+"/ctl", "does not reply, but answers others")
			noStrays(t, sw)
			requests, err := sw.WaitRequests(conntest.Watchdog(t), 2) // in any order: goroutines read them
			if err != nil {
				t.Fatal(err)
			}
			questions := slices.DeleteFunc(requests, func(r *testutil.FakeRequest) bool { return r.Path != "/dev/null/nowhere" })
			if len(questions) != 1 || questions[0].TypeWord != 0 || questions[0].Err != nil {
				t.Errorf("requests whether others are answered: %+v", questions)
			}
		})
	}
}

// TestOpenRefusedByEndOfFile: the switch refuses one port and gives another.
func TestOpenRefusedByEndOfFile(t *testing.T) {
	sw := testutil.NewFakeSwitch(t, testutil.FakeRefusePort(5))
	err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()+"[5]")
	checkOpenError(t, sw.VNL()+"[5]", err, vde.ErrPortRefused, "in use by another user")
	noStrays(t, sw)
	c := conntest.Open(t, sw.VNL()+"[6]")
	conntest.Next(t, sw) // the one that was refused
	conntest.Works(t, c, conntest.Next(t, sw))
}

// TestOpenSilenceForEverybody: a switch that answers nobody has not refused the port.
func TestOpenSilenceForEverybody(t *testing.T) {
	testutil.NoLeaks(t)
	defer vdeplug.SetProbeDelay(time.Millisecond)()
	sw := testutil.NewFakeSwitch(t, testutil.FakeSilence)
	ctx, cancel := context.WithCancel(conntest.Watchdog(t))
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- conntest.FailsToOpen(t, ctx, sw.VNL()+"[5]") }()
	// The second request is the question whether others are answered.
	if _, err := sw.WaitRequests(conntest.Watchdog(t), 2); err != nil {
		t.Fatal(err)
	}
	cancel()
	checkOpenError(t, sw.VNL()+"[5]", conntest.Await(t, "Open", failed), context.Canceled, "wait for the switch's reply")
	noStrays(t, sw)
}

// TestOpenHalfReplyThenSilence: half a reply is none of a VDE switch.
func TestOpenHalfReplyThenSilence(t *testing.T) {
	defer vdeplug.SetProbeDelay(time.Millisecond)()
	written := make(chan struct{})
	sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.WriteCtl(make([]byte, 50))
		close(written)
	}, func(c *testutil.FakeClient) { // who asks whether others are answered: one after the other
		c.Wait(written)
		testutil.FakeRefuse(c)
	})
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()), vde.ErrNotSwitch, "reply of 50 bytes instead of 110")
}

// TestOpenSlowSwitch joins a switch that has been slow and handles one thing after
// the other: it replies, and then answers the second request. That must not look
// like a refusal.
func TestOpenSlowSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	defer vdeplug.SetProbeDelay(time.Millisecond)()
	for _, second := range []testutil.FakeScript{(*testutil.FakeClient).Close, func(c *testutil.FakeClient) { c.Reply() }} {
		asked, replied := make(chan struct{}), make(chan struct{})
		sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.Wait(asked)
			c.ConnectBack()
			c.Reply()
			close(replied)
		}, func(c *testutil.FakeClient) {
			c.ReadRequest()
			close(asked)
			c.Wait(replied)
			second(c)
		})
		c := conntest.Open(t, sw.VNL())
		client := conntest.Next(t, sw)
		if client.Index != 0 {
			client = conntest.Next(t, sw)
		}
		conntest.Works(t, c, client)
	}
}
