// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDescribe expects a run of some benchmarks beside that of all, and a run of all
// in place of both.
func TestDescribe(t *testing.T) {
	dir := t.TempDir()
	for _, file := range []string{settingsFile, profileFile} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(only string, rounds int) texts {
		t.Helper()
		s := &session{options: options{results: dir, only: only, benchtime: time.Second}, round: rounds, start: time.Now()}
		if err := s.describe("0.5"); err != nil {
			t.Fatal(err)
		}
		written, err := readTexts(dir)
		if err != nil {
			t.Fatal(err)
		}
		return written
	}
	all := run("", 3)
	if !strings.Contains(all.machine, "3 rounds of all benchmarks") || all.later != "" {
		t.Errorf("a run of all: %+v", all)
	}
	some := run("TCP,Ports", 4)
	if some.machine != all.machine || !strings.Contains(some.later, "| measured later | TCP, Ports |") || !strings.Contains(some.later, "4 rounds of TCP, Ports") {
		t.Errorf("a run of some: %+v", some)
	}
	if other := run("RTT", 2); !strings.Contains(other.later, "4 rounds of TCP, Ports") || !strings.Contains(other.later, "2 rounds of RTT") {
		t.Errorf("another run of some: %+v", other)
	}
	if again := run("", 5); !strings.Contains(again.machine, "5 rounds of all benchmarks") || again.later != "" {
		t.Errorf("a run of all again: %+v", again)
	}
}
