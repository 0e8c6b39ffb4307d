// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/bench/internal/report"
)

// TestGVisorProcesses exchanges a byte with a bare stack in another process. The test
// is a process of its own as well: gVisor's endpoints leave goroutines behind.
func TestGVisorProcesses(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.v", "-test.bench=^BenchmarkTCPLatency$/^stack=.*-processes$", "-test.benchtime=1x", "-programs="+programs)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "\t") {
			lines.WriteString(line)
		}
	}
	rs, err := report.Read(strings.NewReader(lines.String()), "output")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fdbased-vnet-processes", "sharedmem-processes"} {
		if _, ok := rs.Summary("TCPLatency", report.Keys{"stack": name}, "p50-ns"); !ok && !strings.Contains(string(out), "--- SKIP") {
			t.Errorf("no result of %s in\n%s", name, out)
		}
	}
}

// TestArrivals finds the longest time without an arrival, at the end too.
func TestArrivals(t *testing.T) {
	for _, test := range []struct {
		at   []time.Duration
		want time.Duration
	}{
		{[]time.Duration{100}, 100},
		{[]time.Duration{10, 20, 90, 100}, 70},
		{[]time.Duration{10, 20, 15, 40}, 25},
		{[]time.Duration{40, 50, 100}, 50},
	} {
		var a arrivals
		for _, at := range test.at {
			a.at(at)
		}
		if got := a.longest(); got != test.want {
			t.Errorf("%v: %v, want %v", test.at, got, test.want)
		}
	}
}
