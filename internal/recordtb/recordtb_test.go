// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package recordtb_test

import (
	"slices"
	"testing"

	"github.com/go-vde/sdk/internal/recordtb"
)

func TestRun(t *testing.T) {
	t.Parallel()
	var order []int
	r := recordtb.Run(t, func(tb testing.TB) {
		tb.Cleanup(func() {
			order = append(order, 1)
			tb.Errorf("late %d", 1)
		})
		tb.Cleanup(func() {
			order = append(order, 2)
			tb.Cleanup(func() { order = append(order, 3) })
		})
		tb.Log("a", 1)
		tb.Error("b", 2)
		tb.Fatalf("c %d", 3)
		t.Error("Fatalf returned")
	})
	if text := r.Text(); text != "a 1\nb 2\nc 3\nlate 1" {
		t.Errorf("text %q", text)
	}
	if len(r.Logs) != 1 || len(r.Errors) != 2 || len(r.Fatals) != 1 || len(r.Skips) != 0 || !r.Failed() {
		t.Errorf("logs %q, errors %q, fatals %q, skips %q, failed %v", r.Logs, r.Errors, r.Fatals, r.Skips, r.Failed())
	}
	if !slices.Equal(order, []int{2, 3, 1}) {
		t.Errorf("cleanups ran in the order %v", order)
	}
}

func TestRunSkip(t *testing.T) {
	t.Parallel()
	r := recordtb.Run(t, func(tb testing.TB) {
		tb.Skip("not", "here")
		t.Error("Skip returned")
	})
	if r.Failed() || len(r.Skips) != 1 || r.Skips[0] != "not here" {
		t.Errorf("failed %v, skips %q", r.Failed(), r.Skips)
	}
}
