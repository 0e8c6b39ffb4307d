// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A watchedContext has a deadline and tells how often its end was asked for,
// which is what waiting by trying again looks like from outside.
type watchedContext struct {
	context.Context
	asked  atomic.Int32
	often  chan struct{} // closed when asked has become 5
	closed sync.Once
}

func watched(ctx context.Context) *watchedContext {
	return &watchedContext{Context: ctx, often: make(chan struct{})}
}

func (c *watchedContext) Err() error {
	if c.asked.Add(1) >= 5 {
		c.closed.Do(func() { close(c.often) })
	}
	return c.Context.Err()
}

// openEnded opens vnl and cancels its context when reached is closed.
func openEnded(t testing.TB, vnl string, reached <-chan struct{}, opts ...vde.Option) error {
	t.Helper()
	ctx, cancel := context.WithCancel(conntest.Watchdog(t))
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-reached:
			cancel()
		case <-done:
		}
	}()
	return conntest.FailsToOpen(t, ctx, vnl, opts...)
}

// openUntilHang has open join new switches, within more and more time, until that is
// enough to reach the step at which they hang. It returns the last of them and the error.
func openUntilHang(t testing.TB, script testutil.FakeScript, step string, open func(vnl string, within time.Duration) error) (sw *testutil.FakeSwitch, err error) {
	t.Helper()
	for within := 20 * time.Millisecond; within < conntest.Patience/4; within *= 2 {
		sw = testutil.NewFakeSwitch(t, script)
		if err = open(sw.VNL(), within); strings.Contains(err.Error(), step+sw.Dir()+"/ctl") {
			break
		}
	}
	return sw, err
}

// A switch that hangs at some step: the end of the context ends Open, which says
// what it was waiting for, and leaves nothing.
func TestOpenHangs(t *testing.T) {
	reply := func(n int) testutil.FakeScript {
		return func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.ConnectBack()
			if b := c.ReplyBytes(); b != nil {
				c.WritePieces(b[:n])
			}
		}
	}
	for _, tt := range []struct {
		name   string
		script testutil.FakeScript
		step   string
	}{
		{"before reading the request", func(*testutil.FakeClient) {}, "at "}, // perhaps before it is sent
		{"within the request", func(c *testutil.FakeClient) { c.ReadCtl(50) }, "wait for the switch's reply at "},
		{"before the reply", testutil.FakeSilence, "wait for the switch's reply at "},
		{"after connecting back", func(c *testutil.FakeClient) { c.ReadRequest(); c.ConnectBack(); c.Bind() }, "wait for the switch's reply at "},
		{"after 1 byte of the reply", reply(1), "wait for the switch's reply at "},
		{"after 55 bytes of the reply", reply(55), "wait for the switch's reply at "},
		{"after 109 bytes of the reply", reply(109), "wait for the switch's reply at "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			reached := make(chan struct{})
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				tt.script(c)
				if c.Index == 0 {
					close(reached)
				}
			})
			err := openEnded(t, sw.VNL(), reached)
			checkOpenError(t, sw.VNL(), err, context.Canceled, tt.step+sw.Dir()+"/ctl")
			noStrays(t, sw)

			sw, err = openUntilHang(t, tt.script, tt.step, func(vnl string, within time.Duration) error {
				ctx, cancel := context.WithTimeout(conntest.Watchdog(t), within)
				defer cancel()
				return conntest.FailsToOpen(t, ctx, vnl)
			})
			checkOpenError(t, sw.VNL(), err, context.DeadlineExceeded, tt.step+sw.Dir()+"/ctl", "the switch is stopped, or refuses a free port without a word")
			noStrays(t, sw)
		})
	}
}

// A switch whose backlog is full.
func TestOpenHangsAtAccept(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	if err := sw.Block(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(conntest.Watchdog(t))
	defer cancel()
	w := watched(ctx)
	go func() {
		<-w.often
		cancel()
	}()
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, w, sw.VNL()), context.Canceled, "connect to the control socket "+sw.Dir()+"/ctl")
	noStrays(t, sw)

	ctx, cancelTimeout := context.WithTimeout(conntest.Watchdog(t), 20*time.Millisecond)
	defer cancelTimeout()
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, ctx, sw.VNL()), context.DeadlineExceeded, "connect to the control socket "+sw.Dir()+"/ctl", "does not accept connections")
	noStrays(t, sw)

	// A client that waits joins when there is room.
	w = watched(conntest.Watchdog(t))
	unblocked := make(chan error, 1)
	go func() {
		<-w.often
		unblocked <- sw.Unblock()
	}()
	c, err := vde.Open(w, sw.VNL())
	if err := errors.Join(err, <-unblocked); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conntest.Works(t, c, conntest.Next(t, sw))
}

// Without a deadline in ctx there is a bound all the same.
func TestOpenDefaultBound(t *testing.T) {
	testutil.NoLeaks(t)
	if d := vdeplug.JoinTimeout(); d != 5*time.Second {
		t.Errorf("the default bound is %v, documented are 5 s", d)
	}
	defer vdeplug.SetJoinTimeout(vdeplug.JoinTimeout())()
	unbounded, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer time.AfterFunc(conntest.Patience, cancel).Stop()

	const step = "wait for the switch's reply at "
	sw, err := openUntilHang(t, testutil.FakeSilence, step, func(vnl string, within time.Duration) error {
		vdeplug.SetJoinTimeout(within)
		return conntest.FailsToOpen(t, unbounded, vnl)
	})
	checkOpenError(t, sw.VNL(), err, context.DeadlineExceeded, step+sw.Dir()+"/ctl")
	noStrays(t, sw)

	sw = testutil.NewFakeSwitch(t)
	if err := sw.Block(); err != nil {
		t.Fatal(err)
	}
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, unbounded, sw.VNL()), context.DeadlineExceeded, "connect to the control socket")

	// A deadline in ctx replaces it, whether it is nearer or farther.
	replied := make(chan struct{})
	sw = testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.Wait(replied)
		c.ConnectBack()
		c.Reply()
	})
	bound := time.AfterFunc(2*vdeplug.JoinTimeout(), func() { close(replied) })
	defer bound.Stop()
	c := conntest.Open(t, sw.VNL())
	conntest.Works(t, c, conntest.Next(t, sw))
}

// A switch that closes the connection, after each byte of the request.
func TestOpenClosedAtEachByte(t *testing.T) {
	testutil.NoLeaks(t)
	t.Setenv("SSH_CLIENT", "")
	const most = 130
	var scripts []testutil.FakeScript
	for n := range most + 1 {
		scripts = append(scripts, func(c *testutil.FakeClient) {
			c.ReadCtl(n)
			c.Close()
		})
	}
	for _, tt := range []struct {
		params string
		kind   error
		step   string
	}{
		{"", vde.ErrSwitchFull, "ask for a free port at "},
		{"[5]", vde.ErrPortRefused, "ask for port 5 at "},
		{"[0]", vde.ErrPortRefused, "ask for port 0 at "},
	} {
		sw := testutil.NewFakeSwitch(t, scripts...)
		for n := range most + 1 {
			err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()+tt.params)
			checkOpenError(t, sw.VNL()+tt.params, err, tt.kind, tt.step+sw.Dir()+"/ctl", "closed the connection instead of replying")
			if t.Failed() {
				t.Fatalf("closed after %d bytes", n)
			}
			noStrays(t, sw)
		}
	}
}
