// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// startAt starts a switch that serves dir. b is an endpoint inside this process.
func startAt(t *testing.T, dir string) (sw *vswitch.Switch, b *vde.Conn) {
	t.Helper()
	sw = vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	b, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	listener, err := sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go listener.Serve(context.Background())
	return sw, b
}

// states collects c's changes.
func states(t *testing.T, c *vde.Conn) <-chan vde.LinkState {
	ch := make(chan vde.LinkState, 1000)
	t.Cleanup(c.OnLinkChange(func(s vde.LinkState) { ch <- s }))
	return ch
}

// awaitUp returns the next state that is up, and how many were down before it.
func awaitUp(t *testing.T, ch <-chan vde.LinkState) (s vde.LinkState, downs int) {
	t.Helper()
	for {
		if s = conntest.Await(t, "link state", ch); s.Up {
			return s, downs
		}
		downs++
	}
}

// pass sends frame n from one connection to another.
func pass(t *testing.T, from, to *vde.Conn, n byte) {
	t.Helper()
	if _, err := from.Write(numbered(n)); err != nil {
		t.Fatal(err)
	}
	awaitNumbered(t, to, n)
}

// awaitNumbered receives frame n.
func awaitNumbered(t *testing.T, c *vde.Conn, n byte) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(conntest.Patience))
	buf := make([]byte, frame.DefaultMaxSize)
	if k, err := c.Read(buf); err != nil || buf[frame.HeaderLen] != n {
		t.Fatalf("want frame %d, got %x, %v", n, buf[:k], err)
	}
	c.SetReadDeadline(time.Time{})
}

func TestReconnect(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	sw, b := startAt(t, dir)
	a := conntest.Open(t, dir, vde.WithReconnect(conntest.Quick), vde.WithPort(3), vde.WithDescription("a"))
	changes := states(t, a)
	if a.Caps().State == nil || b.Caps().State != nil || !a.LinkState().Up || !b.LinkState().Up {
		t.Errorf("a: %+v, b: %+v", a.LinkState(), b.LinkState())
	}
	pass(t, a, b, 1)
	const rounds = 5
	for round := byte(10); round < 10*rounds; round += 10 {
		// The socket holds these when the switch goes.
		for i := range byte(3) {
			if _, err := b.Write(numbered(round + i)); err != nil {
				t.Fatal(err)
			}
		}
		sw.Close()
		if s := conntest.Await(t, "first change", changes); s.Up || s.Attempt != 0 || !errors.Is(s.Err, vde.ErrHangup) {
			t.Errorf("the first change is %+v, want down with ErrHangup", s)
		}
		for failed := 1; failed <= 3; failed++ {
			s := conntest.Await(t, "failed attempt", changes)
			if s.Up || s.Attempt != failed || !errors.Is(s.Err, vde.ErrNoSwitch) {
				t.Errorf("change %d is %+v, want a failed attempt with ErrNoSwitch", failed, s)
			}
		}
		written := make(chan error, 1)
		go func() { // waits for the switch
			_, err := a.Write(numbered(round + 4))
			written <- err
		}()
		for i := range byte(3) {
			awaitNumbered(t, a, round+i)
		}
		sw, b = startAt(t, dir)
		if s, _ := awaitUp(t, changes); s.Outage <= 0 || s.Err != nil || s.Attempt < 4 {
			t.Errorf("up again: %+v", s)
		}
		if err := conntest.Await(t, "write", written); err != nil {
			t.Fatal(err)
		}
		awaitNumbered(t, b, round+4)
		pass(t, b, a, round+5)
		pass(t, a, b, round+6)
		ports := sw.Ports()
		if len(ports) != 2 || ports[1].Number != 3 || len(ports[1].Endpoints) != 1 {
			t.Errorf("ports: %+v, want a on the port it asked for", ports)
		}
	}
	if a.Err() != nil || a.Context().Err() != nil {
		t.Errorf("the context ended: %v", a.Err())
	}
	if s := a.Stats(); s.RxFrames != 4*(rounds-1) || s.TxFrames != 2*(rounds-1)+1 || s.TxRefused != 0 || s.RxDiscarded != 0 {
		t.Errorf("counters: %+v", s)
	}
}

// TestReconnectBatchesAndFrames covers the other ways to send and receive.
func TestReconnectBatchesAndFrames(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	sw, _ := startAt(t, dir)
	a := conntest.Open(t, dir, vde.WithReconnect(conntest.Quick))
	changes := states(t, a)
	received := a.Frames()
	for round := range byte(3) {
		sw.Close()
		conntest.Await(t, "down", changes)
		written := make(chan error, 1)
		go func() {
			_, err := a.WriteBatch([][]byte{numbered(1), numbered(2)})
			if err == nil {
				head, tail := numbered(3)[:20], numbered(3)[20:]
				_, err = a.WriteBuffers([]net.Buffers{{head, tail}})
			}
			written <- err
		}()
		var b *vde.Conn
		sw, b = startAt(t, dir)
		awaitUp(t, changes)
		if err := conntest.Await(t, "write", written); err != nil {
			t.Fatal(err)
		}
		for i := range byte(3) {
			awaitNumbered(t, b, i+1)
		}
		if _, err := b.Write(numbered(round)); err != nil {
			t.Fatal(err)
		}
		f := conntest.Await(t, "frame", received)
		if f.Bytes()[frame.HeaderLen] != round {
			t.Errorf("round %d: %x", round, f.Bytes())
		}
		f.Release()
	}
	a.Close()
	if f, ok := <-received; ok {
		t.Errorf("after Close: %x", f.Bytes())
	}
}

func TestCallsDuringOutage(t *testing.T) {
	fail := conntest.Quick
	fail.FailWrites = true
	testOutageDeadlines(t)
	t.Run("close", func(t *testing.T) {
		c := connWithLinkDown(t, conntest.Quick)
		errs := make(chan error)
		for _, call := range []func([]byte) (int, error){c.Read, c.Write} {
			go func() {
				_, err := call(numbered(1))
				errs <- err
			}()
		}
		c.Close()
		for range 2 {
			if err := conntest.Await(t, "call", errs); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		if err := c.Err(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	t.Run("try", func(t *testing.T) {
		c := connWithLinkDown(t, conntest.Quick)
		n, err := c.TryWriteBatch([][]byte{numbered(1), numbered(2)})
		if s := c.Stats(); n != 0 || !errors.Is(err, vde.ErrLinkDown) || s.TxRefused != 2 {
			t.Errorf("%d, %v, %+v", n, err, s)
		}
	})
	t.Run("failing", func(t *testing.T) {
		c := connWithLinkDown(t, fail)
		_, err := c.Write(numbered(1))
		if s := c.Stats(); !errors.Is(err, vde.ErrLinkDown) || s.TxRefused != 1 {
			t.Errorf("%v, %+v", err, s)
		}
	})
	t.Run("descriptor", func(t *testing.T) {
		c := connWithLinkDown(t, conntest.Quick)
		if _, err := c.SyscallConn(); !errors.Is(err, vde.ErrLinkDown) {
			t.Error(err)
		}
	})
	t.Run("frames", func(t *testing.T) {
		c := connWithLinkDown(t, conntest.Quick)
		ch := c.Frames()
		c.Close()
		if f := conntest.Await(t, "frames", ch); f.Buffer != nil {
			t.Errorf("%x", f.Bytes())
		}
	})
}

// testOutageDeadlines checks that deadlines end calls that wait for a link.
func testOutageDeadlines(t *testing.T) {
	t.Run("write deadline", func(t *testing.T) {
		c := connWithLinkDown(t, conntest.Quick)
		c.SetWriteDeadline(time.Now().Add(5 * time.Millisecond))
		if _, err := c.Write(numbered(1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		errs := make(chan error)
		c.SetWriteDeadline(time.Time{})
		go func() {
			_, err := c.Write(numbered(1))
			errs <- err
		}()
		c.SetWriteDeadline(time.Unix(1, 0))
		if err := conntest.Await(t, "write", errs); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
	t.Run("read deadline", func(t *testing.T) {
		c := connWithLinkDown(t, conntest.Quick)
		errs := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 100))
			errs <- err
		}()
		c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		if err := conntest.Await(t, "read", errs); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// connWithLinkDown returns a connection whose switch has ended.
func connWithLinkDown(t *testing.T, policy vde.ReconnectPolicy) *vde.Conn {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	sw, _ := startAt(t, dir)
	c := conntest.Open(t, dir, vde.WithReconnect(policy))
	changes := states(t, c)
	sw.Close()
	conntest.Await(t, "down", changes)
	return c
}

// TestOneSocketAfterTheOther lets the switch's data socket go first, as when a
// process that was killed takes its time to die: a write waits for the control
// stream to follow, and goes to the next switch.
func TestOneSocketAfterTheOther(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	c := conntest.Open(t, sw.VNL(), vde.WithReconnect(conntest.Quick))
	changes := states(t, c)
	first := conntest.Next(t, sw)
	first.CloseData()
	errs := make(chan error, 1)
	go func() {
		_, err := c.Write(conntest.Frame(60, 1))
		errs <- err
	}()
	select {
	case err := <-errs:
		t.Fatalf("the write did not wait: %v", err)
	case <-time.After(200 * time.Millisecond): // longer than a plain connection's write waits
	}
	// A deadline is kept meanwhile.
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if err := conntest.Await(t, "write", errs); !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want ECONNREFUSED or the deadline", err)
	}
	c.SetWriteDeadline(time.Time{})
	go func() {
		_, err := c.Write(conntest.Frame(60, 2))
		errs <- err
	}()
	first.Close()
	awaitUp(t, changes)
	if err := conntest.Await(t, "write", errs); err != nil {
		t.Error(err)
	}
	second := conntest.Next(t, sw)
	if f, err := second.Recv(conntest.Watchdog(t)); err != nil || conntest.Seq(f) != 2 {
		t.Errorf("received %x, %v", f, err)
	}
}

// TestReconnectGivesUp checks that both limits of a policy end the connection.
func TestReconnectGivesUp(t *testing.T) {
	attempts, outage := conntest.Quick, conntest.Quick
	attempts.MaxAttempts = 3
	outage.MaxOutage = 20 * time.Millisecond
	for name, policy := range map[string]vde.ReconnectPolicy{"attempts": attempts, "outage": outage} {
		t.Run(name, func(t *testing.T) {
			testutil.NoLeaks(t)
			dir := filepath.Join(testutil.ShortDir(t), "sw")
			sw, _ := startAt(t, dir)
			c := conntest.Open(t, dir, vde.WithReconnect(policy))
			changes := states(t, c)
			errs := make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 100))
				errs <- err
			}()
			sw.Close()
			conntest.Await(t, "context", c.Context().Done())
			if err := c.Err(); !errors.Is(err, vde.ErrHangup) || !errors.Is(err, vde.ErrNoSwitch) {
				t.Errorf("the cause is %v, want ErrHangup and ErrNoSwitch", err)
			}
			if err := conntest.Await(t, "read", errs); !errors.Is(err, vde.ErrHangup) {
				t.Error(err)
			}
			if _, err := c.Write(numbered(1)); !errors.Is(err, vde.ErrHangup) {
				t.Error(err)
			}
			if name == "attempts" && len(changes) != 3 { // down, and two attempts; the third is the context's
				t.Errorf("%d changes, want 3", len(changes))
			}
		})
	}
}

// TestReconnectToRealSwitch kills vde_switch, which leaves its directory behind,
// and starts it again.
func TestReconnectToRealSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a := conntest.Open(t, sw.VNL(), vde.WithReconnect(conntest.Quick), vde.WithDescription("reconnects"))
	b := conntest.Open(t, sw.VNL(), vde.WithReconnect(conntest.Quick))
	ofA, ofB := states(t, a), states(t, b)
	for round := range byte(10) {
		sw.Kill()
		conntest.Await(t, "down", ofA)
		conntest.Await(t, "down", ofB)
		sw.Restart()
		awaitUp(t, ofA)
		awaitUp(t, ofB)
		if _, err := sw.WaitEndpoint(conntest.Watchdog(t), "reconnects"); err != nil {
			t.Fatal(err)
		}
		pass(t, a, b, round)
		pass(t, b, a, round)
	}
}

func TestReconnectPolicyIsChecked(t *testing.T) {
	for _, policy := range []vde.ReconnectPolicy{
		{MinDelay: -1},
		{MinDelay: 2, MaxDelay: 1},
		{MaxAttempts: -1},
		{MaxOutage: -1},
	} {
		if _, err := vde.Open(t.Context(), "/nowhere", vde.WithReconnect(policy)); err == nil || errors.Is(err, vde.ErrNoSwitch) {
			t.Errorf("%+v: %v", policy, err)
		}
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	if _, err := sw.Attach(vde.WithReconnect(conntest.Quick)); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("in process: %v, want ErrUnsupported", err)
	}
	c := conntest.Open(t, testutil.NewFakeSwitch(t, testutil.FakeServe).VNL())
	c.OnLinkChange(func(vde.LinkState) { t.Error("called") })()
	if c.Caps().State != nil {
		t.Error("a plain connection reconnects")
	}
}
