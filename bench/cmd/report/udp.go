// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"

	"github.com/go-vde/sdk/bench/internal/report"
)

// whyUDP is about frames in datagrams of UDP.
func whyUDP(rs report.Results) string {
	text := "The kernel carries a batch as one long packet where all its datagrams are of one length and go to one address. What is left is a copy in and out, and the table of addresses."
	path := func(name string) keys { return keys{"size": "64", "path": name} }
	for _, name := range []string{"udp", "vxlan", "vxvde"} {
		if s, ok := rs.Ratio("UDP", path(name), path("udp-one"), "cpu-s/Mframe"); ok {
			text += fmt.Sprintf(" At 64 bytes, `%s` needs %s times the processor time of `udp-one` for a frame.", name, report.Number(s.Median))
		}
	}
	return text
}

// overUDP returns the targets of the packages links/udp, links/vxlan and links/vxvde.
func overUDP() (ts []report.Target) {
	for _, size := range []string{"64", "1458"} {
		path := func(name string) keys { return keys{"size": size, "path": name} }
		for _, t := range []struct {
			path, other string
			want        float64
		}{
			{"udp", "udp-one", 10}, {"vxlan", "udp-one", 10}, {"vxvde", "udp-one", 10},
			{"vxlan", "c-vxvde", 20}, {"vxvde", "c-vxvde", 20},
		} {
			ts = append(ts, report.Target{
				What: size + " B: `" + t.path + "` to `" + t.other + "`", Suite: "UDP",
				A: path(t.path), B: path(t.other), Unit: "frames/s", Want: t.want, Why: whyUDP,
			})
		}
	}
	return ts
}
