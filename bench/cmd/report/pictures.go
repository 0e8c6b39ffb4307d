// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-vde/sdk/bench/internal/report"
)

// The paths that stand for all others in a picture: one of each kind. The tables
// hold the others.
var (
	direct   = []string{"inproc", "conn-batch", "conn-one", "channel", "go-mmsg", "c-mmsg", "c-one"}
	switched = []string{"inproc", "shm", "vswitch", "c-vswitch", "c-vde_switch", "c-vdeplug4", "gvtap-stream", "bridge"}
	pinged   = []string{"inproc", "shm", "vswitch", "c-vswitch", "c-vde_switch", "c-vdeplug4", "gvtap-packet", "bridge"}
	scaled   = []string{"inproc", "vswitch-shm", "vswitch", "vde_switch"}
	stacks   = []string{"netstack-inproc", "netstack-shm", "netstack", "netstack-sockets", "fdbased-vnet", "fdbased-buffered", "sharedmem-processes", "fdbased-vnet-processes"}
)

const (
	rate       = "million frames/s"
	frameBytes = "frame size, bytes"
)

// A picture is a file in docs/performance.
type picture struct {
	name, suite string
	report.Drawing
}

// pictures are drawn in this order, which is that of the document.
var pictures = []picture{
	{"direct", "Direct", report.Lines{Title: "Two endpoints without a switch", X: frameBytes, Y: rate,
		Suite: "Direct", Key: "path", Shown: direct, Over: "size", Unit: "frames/s", Scale: 1e6}},
	{"switch", "Switch", report.Lines{Title: "Two endpoints of a switch", X: frameBytes, Y: rate,
		Suite: "Switch", Key: "path", Shown: switched, Over: "size", Unit: "frames/s", Scale: 1e6}},
	{"switch-gbits", "Switch", report.Lines{Title: "Two endpoints of a switch", X: frameBytes, Y: "Gbit/s",
		Suite: "Switch", Key: "path", Shown: switched, Over: "size", Unit: "Gbit/s", Scale: 1}},
	{"switch-cpu", "Switch", report.Lines{Title: "Processor time of two endpoints and their switch", X: frameBytes, Y: "processor seconds per million frames",
		Suite: "Switch", Key: "path", Shown: switched, Over: "size", Unit: "cpu-s/Mframe", Scale: 1}},
	{"rtt-closed", "RTT", report.Times{Title: "Round trips of 64-byte frames, one after the other",
		Suite: "RTT", Key: "path", Shown: pinged, Load: "closed"}},
	{"rtt-1000", "RTT", report.Times{Title: "Round trips of 64-byte frames, 1,000 per second",
		Suite: "RTT", Key: "path", Shown: pinged, Load: "1000"}},
	{"rtt-10000", "RTT", report.Times{Title: "Round trips of 64-byte frames, 10,000 per second",
		Suite: "RTT", Key: "path", Shown: pinged, Load: "10000"}},
	{"ports", "Ports", report.Lines{Title: "Two active ports of a switch with more ports in use, 64-byte frames", X: "ports in use", Y: rate,
		Suite: "Ports", Key: "switch", Shown: scaled, Over: "ports", Unit: "frames/s", Scale: 1e6}},
	{"connections", "Connections", report.Lines{Title: "Many connections send to one in turn, 64-byte frames", X: "sending connections", Y: rate,
		Suite: "Connections", Key: "kind", Shown: scaled[:3], Over: "conns", Unit: "frames/s", Scale: 1e6}},
	{"tcp", "TCP", report.Bars{Title: "One TCP stream between two stacks, MTU 1500", Subject: "Gbit/s",
		Suite: "TCP", Key: "stack", Groups: [][]string{stacks[:4], stacks[4:]}, Where: keys{"mtu": "1500", "streams": "1"}, Unit: "Gbit/s"}},
	{"tcp-mtu", "TCP", report.Lines{Title: "Eight TCP streams between two stacks", X: "MTU, bytes", Y: "Gbit/s",
		Suite: "TCP", Key: "stack", Shown: stacks, Over: "mtu", Where: keys{"streams": "8"}, Unit: "Gbit/s", Scale: 1}},
	{"tcp-latency", "TCPLatency", report.Times{Title: "One byte there and back over TCP, MTU 1500",
		Suite: "TCPLatency", Key: "stack", Shown: stacks}},
}

// draw saves all pictures that there are results for.
func draw(dir string, rs report.Results, hs report.Histograms) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, p := range pictures {
		if !rs.Has(p.suite) {
			continue
		}
		drawn, err := p.Draw(rs, hs)
		if err == nil {
			err = drawn.Save(filepath.Join(dir, p.name))
		}
		if err != nil {
			return fmt.Errorf("picture %s: %w", p.name, err)
		}
	}
	return nil
}
