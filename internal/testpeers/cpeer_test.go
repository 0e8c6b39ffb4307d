// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/switchtest"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
)

func TestCPeerSourceToSink(t *testing.T) {
	testutil.NoLeaks(t)
	for _, tt := range []struct {
		name string
		make func(*testing.T) switchtest.Switch
		size int
		n    uint64 // so few that the smallest queue on their way holds them all
	}{
		{"vde_switch", func(t *testing.T) switchtest.Switch { return testpeers.StartSwitch(t, testpeers.SwitchConfig{}) }, 1514, 80},
		{"hub", func(t *testing.T) switchtest.Switch {
			return testpeers.StartSwitch(t, testpeers.SwitchConfig{Hub: true})
		}, 60, 250},
		{"node", func(t *testing.T) switchtest.Switch { return testpeers.StartNode(t, "switch") }, 9000, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const first = 1000
			n := tt.n
			sw := tt.make(t)
			sink := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CSink, Network: sw.Dir(), First: first})
			count := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CCount, Network: sw.Dir()})
			source := testpeers.StartCPeer(t, testpeers.CPeerConfig{
				Role: testpeers.CSource, Network: sw.Dir(), MAC: macA, Peer: broadcast, Count: n, First: first, Size: tt.size,
				Burst: 10, Gap: time.Millisecond,
			})
			if err := source.Begin(); err != nil {
				t.Fatal(err)
			}
			sent, err := source.Wait(t.Context())
			if err != nil || sent.Sent != n || sent.SentBytes != n*uint64(tt.size) || sent.Reason != "count" || sent.SendErrors != 0 {
				t.Errorf("source %+v, %v", sent, err)
			}
			if sent.Elapsed < time.Duration(n/10-1)*time.Millisecond {
				t.Errorf("sent in %v: no pauses", sent.Elapsed)
			}
			if _, err := sink.Await(t.Context(), n); err != nil {
				t.Error(err)
			}
			got, err := sink.Finish(t.Context())
			if again, err := source.Finish(t.Context()); err != nil || again != sent || source.Running() {
				t.Errorf("source %+v, %v", again, err)
			}
			want := testpeers.CPeerResult{Frames: n, Bytes: n * uint64(tt.size), Elapsed: got.Elapsed, Reason: "stop"}
			if err != nil || got != want {
				t.Errorf("sink %+v, %v", got, err)
			}
			if again, err := sink.Finish(t.Context()); err != nil || again != want {
				t.Errorf("again %+v, %v", again, err)
			}
			if _, err := count.Await(t.Context(), n); err != nil {
				t.Error(err)
			}
			got, err = count.Finish(t.Context())
			if err != nil || got.Frames != n || got.Bytes != n*uint64(tt.size) {
				t.Errorf("count %+v, %v", got, err)
			}
		})
	}
}

// TestCPeerSinkJudges gives the sink every kind of frame, from Go.
func TestCPeerSinkJudges(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	sink := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CSink, Network: sw.Dir()})
	p := testpeers.StartVdePlug(t, sw.Dir())
	send := func(frame []byte) {
		t.Helper()
		if err := p.Send(frame); err != nil {
			t.Fatal(err)
		}
	}
	for _, seq := range []uint64{0, 1, 3, 2, 3, 3, 6} { // 2 late, 3 twice too often, 4 and 5 lost
		send(testFrame(macB, macA, 200, seq))
	}
	bad := testFrame(macB, macA, 200, 7)
	bad[150] ^= 1
	send(bad)
	send(testFrame(macB, macA, 200, 8)[:199])
	send(testFrame(macB, macA, 200, 1<<26)) // a number no sink keeps track of
	other := testFrame(macB, macA, 60, 0)
	other[13]++
	send(other)
	send(testFrame(macB, macA, 1514, 7))
	if _, err := sink.Await(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	now, err := sink.Report(t.Context())
	want := testpeers.CPeerResult{
		Frames: 6, Bytes: 5*200 + 1514, Lost: 2, Duplicates: 2, Late: 1, Corrupt: 3, Other: 1,
		Elapsed: now.Elapsed, Reason: "stop",
	}
	if err != nil || now != want {
		t.Errorf("got  %+v, %v\nwant %+v", now, err, want)
	}
	sw.Stop()
	end, err := sink.Wait(t.Context())
	want.Elapsed, want.Reason = end.Elapsed, "hangup"
	if err != nil || end != want {
		t.Errorf("got  %+v, %v\nwant %+v", end, err, want)
	}
	if got, err := sink.Await(t.Context(), 100); err == nil || got != want {
		t.Errorf("waiting after the end: %+v, %v", got, err)
	}
}

// TestCPeerFramesInGo checks in Go what C has filled.
func TestCPeerFramesInGo(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	p := testpeers.StartVdePlug(t, sw.Dir())
	for _, size := range []int{26, 60, 1500, 1518} {
		const n, first = 5, 1<<40 + 250
		source := testpeers.StartCPeer(t, testpeers.CPeerConfig{
			Role: testpeers.CSource, Network: sw.Dir(), MAC: macA, Peer: macB, Count: n, First: first, Size: size,
		})
		if err := source.Begin(); err != nil {
			t.Fatal(err)
		}
		for i := range uint64(n) {
			got, err := p.Recv(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if seq, err := testframe.Check(got); err != nil || seq != first+i || !bytes.Equal(got, testFrame(macB, macA, size, seq)) {
				t.Errorf("frame %d, %v", seq, err)
			}
		}
	}
}

func TestCPeerEcho(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	for _, tt := range []struct {
		name     string
		mac, dst [6]byte
		from     [6]byte // who answers; zero: nobody
	}{
		{"mine", macB, macB, macB},
		{"everybody's", macB, broadcast, macB},
		{"another's", macB, [6]byte{2, 0, 0, 0, 0, 0xc}, [6]byte{}},
		{"anybody's", [6]byte{}, [6]byte{2, 0, 0, 0, 0, 0xc}, [6]byte{2, 0, 0, 0, 0, 0xc}},
		{"group's without an address", [6]byte{}, broadcast, [6]byte{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := testpeers.StartVdePlug(t, sw.Dir())
			echo := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CEcho, Network: sw.Dir(), MAC: tt.mac})
			if err := p.Send(testFrame(tt.dst, macA, 300, 1)); err != nil {
				t.Fatal(err)
			}
			// Something it does answer, so that there is an end to waiting.
			last := macB
			if tt.mac == [6]byte{} {
				last = [6]byte{2, 0, 0, 0, 0, 0xe}
			}
			if err := p.Send(testFrame(last, macA, 300, 2)); err != nil {
				t.Fatal(err)
			}
			want := uint64(1)
			if tt.from != [6]byte{} {
				want = 2
				if got, err := p.Recv(t.Context()); err != nil || !bytes.Equal(got, testFrame(macA, tt.from, 300, 1)) {
					t.Errorf("got % x, %v", got, err)
				}
			}
			if got, err := p.Recv(t.Context()); err != nil || !bytes.Equal(got, testFrame(macA, last, 300, 2)) {
				t.Errorf("got % x, %v", got, err)
			}
			r, err := echo.Finish(t.Context())
			if err != nil || r.Frames != want || r.Sent != want || r.Other != 2-want {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestCPeerOpenOptions(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	c := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CCount, Network: sw.Dir(), Port: 9, Descr: "nine", Mode: 0o770})
	if p, err := sw.WaitEndpoint(t.Context(), "nine"); err != nil || p.Number != 9 {
		t.Errorf("%+v, %v", p, err)
	}
	c.Stop()
	if _, err := c.Finish(t.Context()); err == nil {
		t.Error("figures from a program that was stopped")
	}
	t.Run("refused", func(t *testing.T) {
		c := testpeers.NewCPeer(t, testpeers.CPeerConfig{Role: testpeers.CCount, Network: "/no/such/switch"})
		err := c.Start(t.Context())
		var refused *testpeers.CPeerError
		if !errors.As(err, &refused) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
		if c.Start(t.Context()) == nil {
			t.Error("started twice")
		}
	})
	t.Run("no answer", func(t *testing.T) {
		// This vde_switch leaves a request for a port it does not have without an answer.
		c := testpeers.NewCPeer(t, testpeers.CPeerConfig{Role: testpeers.CCount, Network: sw.Dir(), Port: 9999})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := c.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("other user", func(t *testing.T) {
		testpeers.Need(t, "CAP_SETUID", "CAP_SETGID")
		sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{Mode: 0o666})
		testpeers.StartCPeer(t, testpeers.CPeerConfig{
			Role: testpeers.CCount, Network: sw.Dir(), Descr: "somebody", User: &testpeers.Credential{UID: 65534, GID: 65534},
		})
		if p, err := sw.WaitEndpoint(t.Context(), "somebody"); err != nil || p.User == "NONE" || p.User == "root" {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestCPeerAgainstPausedSwitch fills the queue of a switch that stands still: the source waits, still answers,
// and goes on afterwards without having lost anything on its side.
func TestCPeerAgainstPausedSwitch(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	const n = 2000
	source := testpeers.StartCPeer(t, testpeers.CPeerConfig{Role: testpeers.CSource, Network: sw.Dir(), MAC: macA, Peer: macB, Count: n})
	sw.Pause()
	if err := source.Begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Await(t.Context(), 200); err != nil {
		t.Fatal(err)
	}
	r, err := source.Report(t.Context())
	if err != nil || r.Sent >= n {
		t.Errorf("%+v, %v", r, err)
	}
	sw.Resume()
	if r, err := source.Wait(t.Context()); err != nil || r.Sent != n || r.Full == 0 || r.SendErrors != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestCPeerCache compiles into an empty cache, from many goroutines, and leaves one program there.
func TestCPeerCompile(t *testing.T) {
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	for _, cache := range []string{t.TempDir(), filepath.Join(os.DevNull, "impossible")} {
		t.Setenv("XDG_CACHE_HOME", cache)
		testpeers.ForgetCPeer()
		done := make(chan error)
		for range 4 {
			c := testpeers.NewCPeer(t, testpeers.CPeerConfig{Role: testpeers.CCount, Network: sw.Dir()})
			go func() { done <- c.Start(t.Context()) }()
		}
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if entries, err := os.ReadDir(filepath.Join(cache, "go-vde")); err == nil && len(entries) != 1 {
			t.Errorf("in the cache: %v", entries)
		}
	}
	testpeers.ForgetCPeer()
}
