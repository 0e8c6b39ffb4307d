// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestUpgrade replaces vde_switch by the switch of this repository in one directory,
// and the reverse, after vde_switch was stopped and after it was killed.
func TestUpgrade(t *testing.T) {
	for _, end := range []string{"stop", "kill"} {
		t.Run(end, func(t *testing.T) {
			testutil.NoLeaks(t)
			dir := filepath.Join(testutil.ShortDir(t), "sw")
			if err := os.Mkdir(dir, 0o700); err != nil { // or the first to end would remove it
				t.Fatal(err)
			}
			stock := testpeers.StartSwitch(t, testpeers.SwitchConfig{Dir: dir, NoMgmt: true})
			a, b := conntest.Open(t, dir, vde.WithReconnect(conntest.Quick)), conntest.Open(t, dir, vde.WithReconnect(conntest.Quick))
			ofA, ofB := states(t, a), states(t, b)
			pass(t, a, b, 1)
			for round := byte(10); round < 30; round += 10 {
				if end == "kill" {
					stock.Kill()
				} else {
					stock.Stop()
				}
				ours, c := startAt(t, dir)
				awaitUp(t, ofA)
				awaitUp(t, ofB)
				pass(t, a, b, round)
				awaitNumbered(t, c, round)
				c.Close()
				ours.Close()
				stock.Restart()
				awaitUp(t, ofA)
				awaitUp(t, ofB)
				pass(t, b, a, round+1)
			}
		})
	}
}

// TestDirectoryRemoved removes the directory of a running switch: clients that have
// joined notice nothing, nobody can join, and clients that have to join again do so
// when there is a switch again.
func TestDirectoryRemoved(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{NoMgmt: true})
	a, b := conntest.Open(t, sw.VNL(), vde.WithReconnect(conntest.Quick)), conntest.Open(t, sw.VNL(), vde.WithReconnect(conntest.Quick))
	ofA, ofB := states(t, a), states(t, b)
	pass(t, a, b, 1)
	if err := os.RemoveAll(sw.Dir()); err != nil {
		t.Fatal(err)
	}
	pass(t, a, b, 2)
	pass(t, b, a, 3)
	if err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()); !errors.Is(err, vde.ErrNoSwitch) {
		t.Errorf("%v, want ErrNoSwitch", err)
	}
	sw.Kill()
	for failed := 0; failed < 3; failed++ {
		if s := conntest.Await(t, "attempt", ofA); s.Up || s.Attempt > 0 && !errors.Is(s.Err, vde.ErrNoSwitch) {
			t.Errorf("%+v, want ErrNoSwitch", s)
		}
	}
	sw.Restart()
	awaitUp(t, ofA)
	awaitUp(t, ofB)
	pass(t, a, b, 4)
}

// TestOpenAtTheDescriptorLimit opens with ever more descriptors to spare, until
// they are enough: each failure is EMFILE and leaves nothing behind, neither
// descriptors nor names.
func TestOpenAtTheDescriptorLimit(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	names := func() []string {
		entries, err := os.ReadDir(sw.Dir())
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	// The first makes what the runtime keeps.
	conntest.Open(t, sw.VNL()).Close()
	if err := sw.WaitActive(conntest.Watchdog(t), 0); err != nil {
		t.Fatal(err)
	}
	before := names()
	const most = 32
	for spare := range most {
		restore := limitDescriptors(t, spare)
		c, err := vde.Open(conntest.Watchdog(t), sw.VNL())
		restore()
		if err == nil {
			if spare < 4 {
				t.Errorf("a connection with %d descriptors: it holds four", spare)
			}
			if _, err := c.Write(conntest.Frame(60, 1)); err != nil {
				t.Error(err)
			}
			c.Close()
			return
		}
		if !errors.Is(err, syscall.EMFILE) {
			t.Errorf("%d to spare: %v, want EMFILE", spare, err)
		}
		if err := sw.WaitActive(conntest.Watchdog(t), 0); err != nil {
			t.Fatal(err)
		}
		if after := names(); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("%d to spare: left in the directory: %q, were %q", spare, after, before)
		}
	}
	t.Errorf("%d descriptors are not enough", most)
}

// limitDescriptors lets this process open no more than spare descriptors. The
// limit bounds the number of a new one, and the lowest free one is taken.
func limitDescriptors(t *testing.T, spare int) (restore func()) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	next := 0
	for left := spare; ; next++ {
		if _, err := unix.FcntlInt(uintptr(next), unix.F_GETFD, 0); err != nil {
			if left == 0 {
				break
			}
			left--
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClockOffset runs tests of everything that measures time again where the
// monotonic clock is ten years ahead: only differences may count. A jump of the
// wall clock cannot be made here without making it for the whole machine; see
// docs/reliability.md.
func TestClockOffset(t *testing.T) {
	testpeers.RunWithClockOffset(conntest.Watchdog(t), t,
		"TestReconnect", "TestCallsDuringOutage", "TestReconnectGivesUp", "TestFramesAndDeadlines", "TestWaitingWriter", "TestWallClockDeadline")
}

// A deadline without a monotonic reading, such as one that was stored or sent,
// is turned into a span when it is set; a deadline that passed by the wall clock
// alone has passed.
func TestWallClockDeadline(t *testing.T) {
	c, _ := conntest.Join(t)
	buf := make([]byte, 100)
	for _, d := range []time.Duration{-time.Hour, 10 * time.Millisecond} {
		if err := c.SetReadDeadline(time.Now().Add(d).Round(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v: %v", d, err)
		}
	}
}
