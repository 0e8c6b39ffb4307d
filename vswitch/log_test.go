// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// A logHandler calls handle for each record.
type logHandler struct {
	slog.Handler
	handle func(r slog.Record)
}

func (h logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	h.handle(r)
	return nil
}

// TestBlockedLogHandler checks that a handler which does not return stops neither
// attaching, nor forwarding, nor any method, and gets the records in order in the end.
func TestBlockedLogHandler(t *testing.T) {
	testutil.NoLeaks(t)
	const lost = 500
	blocked := make(chan struct{})
	var ports []string
	sw := vswitch.New(vswitch.Config{Logger: slog.New(logHandler{handle: func(r slog.Record) {
		<-blocked
		switch r.Message {
		case "attached":
			r.Attrs(func(a slog.Attr) bool {
				ports = append(ports, a.Value.String())
				return false
			})
		case "log records were lost":
			r.Attrs(func(a slog.Attr) bool {
				ports = append(ports, a.String())
				return true
			})
		}
	}})})
	const queued = 1 + 1024 // at most: one or more at the handler, the others behind
	a, b := attach(t, sw, 1), attach(t, sw, 2)
	f := testFrame(macB, macA, 60, 1)
	write(t, a, f)
	if got := received(t, sw, b); len(got) != 1 {
		t.Errorf("%d frames", len(got))
	}
	for n := 3; n <= queued+lost; n++ {
		attach(t, sw, n)
	}
	sw.Stats()
	if n := len(sw.Ports()); n != queued+lost {
		t.Errorf("%d ports", n)
	}
	close(blocked)
	if err := sw.Close(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := range queued - 1 {
		want = append(want, fmt.Sprint(n+1))
	}
	if len(ports) < len(want) || !slices.Equal(ports[:len(want)], want) {
		t.Errorf("records of ports %v", ports)
	}
	if len(ports) > queued+lost || !slices.ContainsFunc(ports, func(s string) bool { return len(s) > 8 && s[:8] == "records=" }) {
		t.Errorf("%d records, and none about those that were lost: %v", len(ports), ports[len(want):])
	}
}

// TestLogHandlerCallsSwitch checks that a handler may call methods of the switch.
func TestLogHandlerCallsSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	var sw *vswitch.Switch
	var mu sync.Mutex
	var messages []string
	ready := make(chan struct{})
	sw = vswitch.New(vswitch.Config{Logger: slog.New(logHandler{handle: func(r slog.Record) {
		<-ready
		sw.Ports()
		sw.Stats()
		sw.FDB()
		if err := sw.SetPort(7, vswitch.PortConfig{}); err != nil && err != vswitch.ErrClosed {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		messages = append(messages, r.Message)
	}})})
	close(ready)
	a := attach(t, sw, 1)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sw.Close(); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"attached", "detached"}; !slices.Equal(messages, want) {
		t.Errorf("got %v, want %v", messages, want)
	}
}
