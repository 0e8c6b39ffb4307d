// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"

	"github.com/go-vde/sdk/bench/internal/report"
)

// render makes the tables and plots from the results.
func render(o options) error {
	var rs report.Results
	for _, s := range suites {
		name := filepath.Join(o.results, s.file())
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		some, err := report.Read(f, name)
		f.Close()
		if err != nil {
			return err
		}
		rs = append(rs, some...)
	}
	f, err := os.Open(filepath.Join(o.results, histogramFile))
	if err != nil {
		return err
	}
	defer f.Close()
	hs, err := report.ReadHistograms(f)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	machine, err := os.ReadFile(filepath.Join(o.results, machineFile))
	if err != nil {
		return err
	}
	profiles, err := os.ReadFile(filepath.Join(o.results, profileFile))
	if err != nil {
		return err
	}
	if err := document(o.document, rs, hs, string(machine), string(profiles)); err != nil {
		return err
	}
	return plots(o.plots, rs, hs)
}

// document writes the tables between their markers.
func document(name string, rs report.Results, hs report.Histograms, machine, profiles string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	doc := string(text)
	millions := report.Figure{Name: "M frames/s", Unit: "frames/s", Scale: 1e6, Spread: true}
	cpu := report.Figure{Name: "CPU s per million", Unit: "cpu-s/Mframe", Scale: 1}
	for _, section := range []struct{ name, text string }{
		{"machine", machine},
		{"cable", report.Throughput(rs, "Cable")},
		{"cable details", report.Details(rs, "Cable", "64") + "\n" + report.Details(rs, "Cable", "1514")},
		{"switch", report.Throughput(rs, "Switch")},
		{"switch details", report.Details(rs, "Switch", "64") + "\n" + report.Details(rs, "Switch", "1514")},
		{"round trips", report.RoundTrips(rs, hs, "RTT", "path", []string{"closed"}) + "\n" + report.RoundTrips(rs, hs, "RTT", "path", []string{"1000", "10000"})},
		{"ports", report.Grid(rs, "Ports", "ports", "switch", []report.Figure{millions, cpu, {Name: "KiB per port", Unit: "B/port", Scale: 1024}})},
		{"connections", report.Grid(rs, "Connections", "conns", "kind", []report.Figure{millions, cpu,
			{Name: "KiB each", Unit: "B/conn", Scale: 1024}, {Name: "descriptors each", Unit: "files/conn", Scale: 1}, {Name: "µs to open", Unit: "open-µs/conn", Scale: 1}})},
		{"tcp", tcpTables(rs)},
		{"tcp latency", report.RoundTrips(rs, hs, "TCPLatency", "stack", []string{""})},
		{"ratios core", report.Ratios(rs, core())},
		{"ratios vswitch", report.Ratios(rs, vswitch())},
		{"ratios shm", report.Ratios(rs, sharedMemory())},
		{"ratios netstack", report.Ratios(rs, netstack())},
		{"behind", report.Behind(rs, comparisons())},
		{"profiles", profiles},
	} {
		if doc, err = report.Replace(doc, section.name, section.text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return os.WriteFile(name, []byte(doc), 0o666)
}

// tcpTables is a table for each number of streams.
func tcpTables(rs report.Results) (text string) {
	for _, streams := range rs.Of("TCP", "streams") {
		word := " streams"
		if streams == "1" {
			word = " stream"
		}
		text += streams + word + ":\n\n" + report.Grid(rs.Only("TCP", "streams", streams), "TCP", "stack", "mtu", []report.Figure{
			{Name: "Gbit/s", Unit: "Gbit/s", Scale: 1, Spread: true},
			{Name: "CPU s per GB", Unit: "cpu-s/GB", Scale: 1},
			{Name: "retransmissions per GB", Unit: "retransmits/GB", Scale: 1},
		}) + "\n"
	}
	return text
}

// plots draws everything that there are results for.
func plots(dir string, rs report.Results, hs report.Histograms) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var groups []report.Keys
	var labels []string
	for _, mtu := range rs.Of("TCP", "mtu") {
		groups = append(groups, report.Keys{"mtu": mtu, "streams": "1"})
		labels = append(labels, "MTU "+mtu)
	}
	rate, bytes := "million frames/s", "frame size, bytes"
	for _, p := range []struct {
		suite, name string
		draw        func() (*plot.Plot, error)
	}{
		{"Cable", "cable", func() (*plot.Plot, error) {
			return report.PlotLines(rs, "Cable", "path", "size", "frames/s", 1e6, "From A to B without a switch", bytes, rate)
		}},
		{"Switch", "switch", func() (*plot.Plot, error) {
			return report.PlotLines(rs, "Switch", "path", "size", "frames/s", 1e6, "From A to B through a switch", bytes, rate)
		}},
		{"Switch", "switch-gbits", func() (*plot.Plot, error) {
			return report.PlotLines(rs, "Switch", "path", "size", "Gbit/s", 1, "From A to B through a switch", bytes, "Gbit/s")
		}},
		{"Switch", "switch-cpu", func() (*plot.Plot, error) {
			return report.PlotLines(rs, "Switch", "path", "size", "cpu-s/Mframe", 1, "Processor time of all who take part", bytes, "seconds per million frames")
		}},
		{"RTT", "rtt-closed", func() (*plot.Plot, error) {
			return report.PlotTimes(rs, hs, "RTT", "path", "closed", "Round trips of 64-byte frames, one after the other")
		}},
		{"RTT", "rtt-1000", func() (*plot.Plot, error) {
			return report.PlotTimes(rs, hs, "RTT", "path", "1000", "Round trips of 64-byte frames, 1,000 per second")
		}},
		{"RTT", "rtt-10000", func() (*plot.Plot, error) {
			return report.PlotTimes(rs, hs, "RTT", "path", "10000", "Round trips of 64-byte frames, 10,000 per second")
		}},
		{"Ports", "ports", func() (*plot.Plot, error) {
			return report.PlotLines(rs, "Ports", "switch", "ports", "frames/s", 1e6, "Two stations of a switch with more of them, 64-byte frames", "ports in use", rate)
		}},
		{"Connections", "connections", func() (*plot.Plot, error) {
			return report.PlotLines(rs, "Connections", "kind", "conns", "frames/s", 1e6, "Many stations send to one in turn, 64-byte frames", "sending connections", rate)
		}},
		{"TCP", "tcp", func() (*plot.Plot, error) {
			return report.PlotBars(rs, "TCP", "stack", []string{"netstack-inproc", "netstack-shm", "netstack", "netstack-sockets", "fdbased", "fdbased-fifo"}, "Gbit/s", groups, labels, "One TCP stream between two stacks", "Gbit/s")
		}},
		{"TCPLatency", "tcp-latency", func() (*plot.Plot, error) {
			return report.PlotTimes(rs, hs, "TCPLatency", "stack", "", "A byte there and back over TCP")
		}},
	} {
		if !rs.Has(p.suite) {
			continue
		}
		drawn, err := p.draw()
		if err == nil {
			err = report.Save(drawn, filepath.Join(dir, p.name))
		}
		if err != nil {
			return fmt.Errorf("plot %s: %w", p.name, err)
		}
	}
	return nil
}
