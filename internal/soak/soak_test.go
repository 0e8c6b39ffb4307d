// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/vswitch"
)

// TestMain lets the test binary be the switch that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serveCommand {
		if err := serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// TestSoak is a short soak, with everything that a long one has.
func TestSoak(t *testing.T) {
	var out strings.Builder
	violations := run(t.Context(), config{
		time: 4 * time.Second, warmUp: time.Second, epoch: time.Second, sample: time.Second, seed: rand.Uint64(), cpu: 1,
	}, &out)
	t.Log(out.String())
	if violations > 0 {
		t.Errorf("%d violations", violations)
	}
	for _, want := range []string{"soak: seed ", "--- after", " = received ", " = delivered "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
}

// A violation makes run return it.
func TestViolation(t *testing.T) {
	var out strings.Builder
	s := &soak{out: &out, began: time.Now()}
	s.totals.add(func(t *totals) {
		t.sent, t.came, t.forwarded = 3, 3, 3
		t.killed = remainder{2, 1}
		t.flowSent, t.flowReceived = 10, 8
	})
	s.totals.fault("kill")
	s.totals.report(s)
	if s.violations != 1 || !strings.Contains(out.String(), "over its bound") {
		t.Errorf("%d violations: %s", s.violations, out.String())
	}
	s.totals.add(func(t *totals) { t.came-- })
	s.totals.report(s)
	if s.violations != 4 { // the bound again, and two sums
		t.Errorf("%d violations: %s", s.violations, out.String())
	}
}

// What vde_switch drops without counting has a bound of its own.
func TestUncounted(t *testing.T) {
	for _, tt := range []struct {
		uncounted  remainder
		violations int
	}{
		{remainder{2, 2}, 0},
		{remainder{2, 1}, 1},
	} {
		var out strings.Builder
		s := &soak{out: &out, began: time.Now()}
		s.totals.add(func(t *totals) {
			t.killed, t.uncounted = remainder{3, 16}, tt.uncounted
			t.flowSent, t.flowReceived = 10, 5
		})
		s.totals.fault("kill")
		s.totals.report(s)
		if s.violations != tt.violations {
			t.Errorf("%+v: %d violations: %s", tt.uncounted, s.violations, out.String())
		}
	}
}

// Every counter of a port is added and subtracted.
func TestCounters(t *testing.T) {
	var a, b vswitch.OutDropped
	list := reflect.ValueOf(&b).Elem()
	for i := range list.NumField() {
		list.Field(i).SetUint(uint64(i + 1))
	}
	a = plus(plus(a, b), b)
	if a.Sum() != 2*b.Sum() || minus(a, b) != b {
		t.Errorf("%+v twice is %+v", b, a)
	}
}

// The fit finds the slope of a line, and none in what goes up and down.
func TestFit(t *testing.T) {
	line := func(value func(i int) float64) []sample {
		var list []sample
		for i := range 100 {
			list = append(list, sample{at: time.Duration(i) * 10 * time.Second, heap: value(i)})
		}
		return list
	}
	for _, tt := range []struct {
		name        string
		value       func(i int) float64
		mean, slope float64
	}{
		{"flat", func(int) float64 { return 7 }, 7, 0},
		{"rising", func(i int) float64 { return float64(10 * i) }, 495, 1},
		{"sawtooth", func(i int) float64 { return []float64{0, 1, 1, 0}[i%4] }, 0.5, 0},
	} {
		mean, slope := fit(line(tt.value), func(s sample) float64 { return s.heap })
		if !near(mean, tt.mean) || !near(slope, tt.slope) {
			t.Errorf("%s: mean %v, slope %v, want %v and %v", tt.name, mean, slope, tt.mean, tt.slope)
		}
	}
}

func near(a, b float64) bool { return a-b < 1e-3 && b-a < 1e-3 }

// What a helper reports is a violation. What a helper skips is not.
func TestScope(t *testing.T) {
	var out strings.Builder
	s := &soak{out: &out, began: time.Now()}
	c := s.scope()
	var order []int
	c.Cleanup(func() { order = append(order, 1) })
	c.Cleanup(func() { order = append(order, 2) })
	if err := c.try(func() { c.Fatal("no good") }); err == nil || s.violations != 1 || !c.Failed() {
		t.Errorf("after Fatal: %v, %d violations", err, s.violations)
	}
	if err := c.try(func() { c.Skipf("not here") }); err == nil || s.violations != 1 {
		t.Errorf("after Skip: %v, %d violations", err, s.violations)
	}
	c.close()
	if len(order) != 2 || order[0] != 2 {
		t.Errorf("cleaned up in the order %v", order)
	}
	if !until(context.Background(), time.Second, func() bool { return true }) {
		t.Error("until returned false though the condition holds")
	}
}
