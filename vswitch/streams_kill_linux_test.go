// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/switchtest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// streamEnv is clientEnv for one that joins by a stream.
const streamEnv = "GO_VDE_VSWITCH_STREAM"

// beStreamClient is beClient over a stream.
func beStreamClient(dir string) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	c, err := vde.Open(context.Background(), dir, overStream...)
	if err != nil {
		return err
	}
	go flood(c, victim, witness)
	return drain(c, nil)
}

// TestKilledStreamClient kills clients in the middle of traffic in both directions
// through streams, after a random number of frames. The switch keeps nothing of them,
// goes on serving, and all its counters add up; so do those of the witness, a stream
// too, with those of its port.
func TestKilledStreamClient(t *testing.T) {
	testutil.NoLeaks(t)
	rnd := randomKills(t)
	sw, dir := start(t, vswitch.Config{})
	c := open(t, dir, append(overStream, vde.WithPort(9))...)
	var frames countdown
	var wg sync.WaitGroup
	read, sent := make(chan error, 1), make(chan error, 1)
	wg.Go(func() { read <- drain(c, frames.count) })
	wg.Go(func() { sent <- flood(c, witness, victim) })
	for i := range numKills() {
		came := frames.start(1 + rnd.IntN(5000))
		p := testpeers.StartProcess(t, testpeers.ProcessConfig{
			Args: []string{testpeers.TestBinary(t)},
			Env:  []string{fmt.Sprintf("%s=%s[1]", streamEnv, dir), "GORACE=atexit_sleep_ms=0"},
		})
		var early <-chan time.Time
		if rnd.IntN(4) == 0 { // at any point of its joining, too
			early = time.After(time.Duration(rnd.IntN(30)) * time.Millisecond)
		}
		select {
		case <-came:
		case <-early:
		case err := <-read:
			t.Fatalf("kill %d: the witness: %v", i, err)
		}
		p.Kill()
		until(t, fmt.Sprintf("kill %d: it has no port", i), func() bool { return len(active(sw)) == 1 })
		checkAccounts(t, sw.Stats())
	}
	if err := sw.Disconnect(9, 0); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	for _, err := range []error{<-read, <-sent} {
		if !errors.Is(err, vde.ErrHangup) {
			t.Errorf("the witness: %v", err)
		}
	}
	c.Close()
	sameSums(t, c, sw, 9)
}

// sameSums waits until a connection that is closed and its port, which may still
// forward what it received last, have counted the same frames.
func sameSums(t *testing.T, c *vde.Conn, sw *vswitch.Switch, port int) {
	t.Helper()
	st := c.Stats()
	var p vswitch.PortStats
	defer func() {
		if t.Failed() {
			t.Logf("the connection counts %+v, its port %+v", st, p)
		}
	}()
	until(t, "the sums are the same", func() bool {
		p = counts(t, sw, port)
		return st.TxFrames-st.TxUnsent == p.In.Frames && st.RxFrames+st.RxDiscarded == p.Out.Frames
	})
}

// TestKilledStreamSwitch kills switches in the middle of traffic through streams, after
// a random number of frames: both clients end with the reason, and what one has
// received the other has sent.
func TestKilledStreamSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	rnd := randomKills(t)
	for i := range numKills() {
		h := startChild(t, switchtest.Config{})
		a, b := open(t, h.Dir(), overStream...), open(t, h.Dir(), overStream...)
		var frames countdown
		came := frames.start(1 + rnd.IntN(5000))
		var wg sync.WaitGroup
		errs := make(chan error, 4)
		wg.Go(func() { errs <- drain(b, frames.count) })
		wg.Go(func() { errs <- drain(a, nil) })
		wg.Go(func() { errs <- flood(a, victim, witness) })
		wg.Go(func() { errs <- flood(b, witness, victim) })
		<-came
		h.(switchtest.Killer).Kill()
		wg.Wait()
		for range cap(errs) {
			if err := <-errs; !errors.Is(err, vde.ErrHangup) {
				t.Errorf("kill %d: %v", i, err)
			}
		}
		for _, c := range []*vde.Conn{a, b} {
			<-c.Context().Done()
			if !errors.Is(c.Err(), vde.ErrHangup) {
				t.Errorf("kill %d: ended with %v", i, c.Err())
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		x, y := a.Stats(), b.Stats()
		if y.RxFrames+y.RxDiscarded > x.TxFrames || x.RxFrames+x.RxDiscarded > y.TxFrames {
			t.Errorf("kill %d: more came than was sent: %+v and %+v", i, x, y)
		}
	}
}
