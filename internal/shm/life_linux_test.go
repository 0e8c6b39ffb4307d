// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"os"
	"testing"
	"time"
)

// TestWake: wake wakes a receive, once, and its deadline stays what it was, or
// becomes what is set meanwhile.
func TestWake(t *testing.T) {
	for _, later := range []time.Time{{}, time.Now().Add(time.Hour)} {
		peer, e := newPair(t, 64)
		if err := e.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		e.rx.wake()
		if err := e.SetReadDeadline(later); err != nil {
			t.Fatal(err)
		}
		if x, err := e.await(); x != e || err != nil {
			t.Fatal(x, err)
		}
		if e.rx.wasWoken() {
			t.Error("woken for ever")
		}
		if got := e.rx.deadline.time(); got.IsZero() != later.IsZero() || got.Sub(later).Abs() > time.Second {
			t.Errorf("the deadline is %v, was set to %v", got, later)
		}
		send(t, peer, 64)
		recv(t, e)
	}
	_, e := newPair(t, 64)
	e.rx.wake()
	if err := e.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Recv(newSlab(64).rx(1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with a deadline: %v", err)
	}
}
