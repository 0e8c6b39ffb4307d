// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"

	"github.com/go-vde/sdk/bench/internal/report"
)

// whyTap is about streams of the kernel through tap devices.
func whyTap(rs report.Results) string {
	text := "Each segment of up to 64 KiB is copied from the kernel and back to it, which a veth does not do."
	path := func(name string) keys { return keys{"streams": "1", "path": name} }
	for _, rival := range []string{"plain", "vde_plug", "veth", "tap-loop"} {
		if s, ok := rs.Ratio("Tap", path("tap-switch"), path(rival), "cpu-s/GB"); ok {
			text += fmt.Sprintf(" For a gigabyte, `tap-switch` needs %s times the processor time of `%s`.", report.Number(s.Median), rival)
		}
	}
	for _, name := range []string{"tap-loop", "veth"} {
		if s, ok := rs.Ratio("Tap", path(name), path("plain"), "Gbit/s"); ok {
			text += fmt.Sprintf(" `%s` carries %s times as much as `plain`.", name, report.Number(s.Median))
		}
	}
	return text
}

// taps returns the targets of package links/tap: TCP of the kernel at MTU 1500.
func taps() (ts []report.Target) {
	for _, t := range []struct {
		path, other string
		want        float64
	}{
		{"tap-switch", "plain", 8}, {"tap-switch", "vde_plug", 20}, {"tap-switch", "veth", 0.6},
		{"tap-direct", "plain", 8}, {"tap-direct", "vde_plug", 20}, {"tap-direct", "veth", 0.6},
	} {
		path := func(name string) keys { return keys{"streams": "1", "path": name} }
		ts = append(ts, report.Target{
			What: "one stream: `" + t.path + "` to `" + t.other + "`", Suite: "Tap",
			A: path(t.path), B: path(t.other), Unit: "Gbit/s", Want: t.want, Why: whyTap,
		})
	}
	return ts
}
