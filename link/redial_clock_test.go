// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// A deadlineLink says what its deadlines are set to.
type deadlineLink struct {
	link.Link
	set chan time.Time
}

func (l deadlineLink) SetReadDeadline(t time.Time) error  { l.set <- t; return nil }
func (l deadlineLink) SetWriteDeadline(t time.Time) error { l.set <- t; return nil }

// TestRedialClockSet sets deadlines without a monotonic reading. What is kept for
// later links has one: the clock may have been set when they come.
func TestRedialClockSet(t *testing.T) {
	set, peers := make(chan time.Time, 10), make(chan link.Link, 10)
	l, err := link.Redial(t.Context(), func(context.Context) (link.Link, error) {
		a, b := linktest.Pipe(1)
		peers <- b
		return deadlineLink{a, set}, nil
	}, link.RedialPolicy{MinDelay: time.Nanosecond, MaxDelay: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	<-set // none, of the first link
	<-set
	want := time.Now().Add(time.Hour)
	if err := errors.Join(l.SetReadDeadline(want.Round(0)), l.SetWriteDeadline(want.Round(0))); err != nil {
		t.Fatal(err)
	}
	check := func(which string) {
		t.Helper()
		for range 2 {
			if got := <-set; !strings.Contains(got.String(), " m=") || got.Sub(want).Abs() > time.Minute {
				t.Errorf("the %s link has the deadline %v, want %v", which, got, want)
			}
		}
	}
	check("first")
	(<-peers).Close()
	check("second")
	(<-peers).Close()
}
