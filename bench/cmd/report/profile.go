// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const profileFile = "profiles.md"

// profiled are the benchmarks of which the report says where their time goes: one
// of each kind.
var profiled = []struct{ title, pattern string }{
	{"`conn-batch`, 64 B: both endpoints", "^BenchmarkDirect$/^size=64$/^path=conn-batch$"},
	{"`conn-one`, 64 B: both endpoints", "^BenchmarkDirect$/^size=64$/^path=conn-one$"},
	{"`inproc`, 64 B: both endpoints and the switch between them", "^BenchmarkSwitch$/^size=64$/^path=inproc$"},
	{"`vswitch-shm`, 64 B: both endpoints and the switch, through shared memory", "^BenchmarkSwitch$/^size=64$/^path=vswitch-shm$"},
	{"`c-vswitch`, 64 B: the switch alone", "^BenchmarkSwitch$/^size=64$/^path=c-vswitch$"},
	{"`netstack`, one stream, MTU 1500: both stacks", "^BenchmarkTCP$/^mtu=1500$/^streams=1$/^stack=netstack$"},
}

// functions is how many lines of a profile are worth reading.
const functions = 12

// profile runs each of the profiled benchmarks once more. It needs no quiet
// machine: it is about shares.
func (s *session) profile(ctx context.Context) error {
	var b strings.Builder
	for _, p := range profiled {
		s.bar.Describe("profile of " + p.title)
		file := filepath.Join(s.dir, "cpu.prof")
		bench := exec.CommandContext(ctx, s.binary(), "-test.run=^$", "-test.bench="+p.pattern, "-test.benchtime="+(5*s.benchtime).String(),
			"-test.timeout=5m", "-test.cpuprofile="+file, "-programs="+s.dir)
		if out, err := bench.CombinedOutput(); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s.failed = addNew(s.failed, fmt.Sprintf("profile of %s: %v %s", p.pattern, err, lastLines(string(out))))
			continue
		}
		top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", fmt.Sprintf("-nodecount=%d", functions), s.binary(), file).Output()
		if err != nil {
			return fmt.Errorf("pprof: %w", err)
		}
		fmt.Fprintf(&b, "%s:\n\n```\n%s```\n\n", p.title, topLines(string(top)))
	}
	return os.WriteFile(filepath.Join(s.results, profileFile), []byte(b.String()), 0o666)
}

// topLines returns the table of pprof's answer, without what it says about files
// and times.
func topLines(text string) string {
	_, table, ok := strings.Cut(text, "      flat ")
	if !ok {
		return text
	}
	return "      flat " + table
}
