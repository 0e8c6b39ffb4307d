// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-vde/sdk/bench/internal/report"
)

// render makes the tables and pictures from the results.
func render(o options) error {
	rs, hs, err := load(o.results)
	if err != nil {
		return err
	}
	texts, err := readTexts(o.results)
	if err != nil {
		return err
	}
	if err := document(o.document, rs, hs, texts); err != nil {
		return err
	}
	return draw(o.plots, rs, hs)
}

// texts are what a session has written down besides results.
type texts struct{ machine, later, settings, profiles string }

func readTexts(dir string) (t texts, err error) {
	read := func(path string) (text string) {
		if err == nil {
			var b []byte
			b, err = os.ReadFile(path)
			text = string(b)
		}
		return text
	}
	t.machine = read(filepath.Join(dir, machineFile))
	t.settings = read(filepath.Join(dir, settingsFile))
	t.profiles = read(filepath.Join(dir, profileFile))
	later, globErr := laterFiles(dir)
	for _, path := range later {
		t.later += "\n" + read(path)
	}
	return t, errors.Join(err, globErr)
}

// load reads the results of all suites that are in a directory.
func load(dir string) (rs report.Results, hs report.Histograms, err error) {
	for _, s := range suites {
		name := filepath.Join(dir, s.file())
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		some, err := report.Read(f, name)
		f.Close()
		if err != nil {
			return nil, nil, err
		}
		rs = append(rs, some...)
	}
	f, err := os.Open(filepath.Join(dir, histogramFile))
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if hs, err = report.ReadHistograms(f); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return rs, hs, nil
}

// document writes the tables between their markers.
func document(name string, rs report.Results, hs report.Histograms, t texts) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	doc := string(text)
	millions := report.Figure{Name: "M frames/s", Unit: "frames/s", Scale: 1e6, Spread: true}
	cpu := report.Figure{Name: "CPU s per million", Unit: "cpu-s/Mframe", Scale: 1}
	for _, section := range []struct{ name, text string }{
		{"machine", t.machine + t.later},
		{"direct", report.Throughput(rs, "Direct")},
		{"direct details", report.Details(rs, "Direct", "64") + "\n" + report.Details(rs, "Direct", "1514")},
		{"switch", report.Throughput(rs, "Switch")},
		{"switch details", report.Details(rs, "Switch", "64") + "\n" + report.Details(rs, "Switch", "1514")},
		{"round trips", report.RoundTrips(rs, hs, "RTT", "path", []string{"closed"}) + "\n" + report.RoundTrips(rs, hs, "RTT", "path", []string{"1000", "10000"})},
		{"ports", report.Grid(rs, "Ports", "ports", "switch", []report.Figure{millions, cpu, {Name: "KiB per port", Unit: "B/port", Scale: 1024}})},
		{"connections", report.Grid(rs, "Connections", "conns", "kind", []report.Figure{millions, cpu,
			{Name: "KiB each", Unit: "B/conn", Scale: 1024}, {Name: "descriptors each", Unit: "files/conn", Scale: 1}, {Name: "µs to open", Unit: "open-µs/conn", Scale: 1}})},
		{"tcp", tcpTables(rs)},
		{"tcp settings", t.settings},
		{"tcp latency", report.RoundTrips(rs, hs, "TCPLatency", "stack", []string{""})},
		{"ratios core", report.Ratios(rs, core())},
		{"ratios vswitch", report.Ratios(rs, vswitch())},
		{"ratios streams", report.Ratios(rs, streams())},
		{"ratios shm", report.Ratios(rs, sharedMemory())},
		{"ratios netstack", report.Ratios(rs, netstack())},
		{"ratios tap", report.Ratios(rs, taps())},
		{"ratios udp", report.Ratios(rs, overUDP())},
		{"behind", report.Behind(rs, comparisons())},
		{"profiles", t.profiles},
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
