// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/go-vde/sdk/link"
)

// stepClock makes it seem as if the clock of the system had been set by d since
// this process started.
func stepClock(t *testing.T, d time.Duration) {
	t.Helper()
	before := start
	t.Cleanup(func() { start = before })
	// A time with a monotonic reading begins with a word that holds seconds from
	// bit 30 on, and wall and monotonic readings are moved apart there.
	*(*uint64)(unsafe.Pointer(&start)) -= uint64(d/time.Second) << 30
	if now := time.Now(); now.Sub(start) > time.Hour || now.Round(0).Sub(start.Round(0))-now.Sub(start)-d > time.Second {
		t.Skip("a time is laid out in another way")
	}
}

// TestClockSet sets deadlines without a monotonic reading after the clock was set.
func TestClockSet(t *testing.T) {
	for _, step := range []time.Duration{3600 * time.Hour, -3600 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			stepClock(t, step)
			peer, e := newPair(t, 64)
			into := newSlab(64)
			if err := e.SetReadDeadline(time.Now().Add(time.Hour).Round(0)); err != nil {
				t.Fatal(err)
			}
			send(t, peer, 64)
			if _, err := e.Recv(into.rx(1)); err != nil {
				t.Errorf("an hour before the deadline: %v", err)
			}
			e.rx.wake() // which sets the deadline once more
			send(t, peer, 64)
			if _, err := e.Recv(into.rx(1)); err != nil {
				t.Errorf("woken an hour before the deadline: %v", err)
			}
			past := time.Now().Add(-time.Hour).Round(0)
			if err := errors.Join(e.SetReadDeadline(past), e.SetWriteDeadline(past)); err != nil {
				t.Fatal(err)
			}
			send(t, peer, 64)
			if _, err := e.Recv(into.rx(1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("an hour after the deadline: received, %v", err)
			}
			if _, _, err := e.Send(link.Tx{Frames: short.Frames}); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("an hour after the deadline: sent, %v", err)
			}
		})
	}
}
