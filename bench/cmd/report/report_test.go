// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/schollz/progressbar/v3"
)

// output of a test binary with -test.v, shortened.
const verbose = `goos: linux
goarch: amd64
pkg: github.com/go-vde/sdk/bench
cpu: AMD EPYC
BenchmarkSwitch
BenchmarkSwitch/size=64
BenchmarkSwitch/size=64/path=inproc
BenchmarkSwitch/size=64/path=inproc-2         	  300000	        70.00 ns/op	  14000000 frames/s
BenchmarkSwitch/size=64/path=bridge
    contenders_linux_test.go:200: missing: CAP_NET_ADMIN (run the test as root)
--- SKIP: BenchmarkSwitch/size=64/path=bridge
BenchmarkSwitch/size=64/path=c-vswitch
    main_linux_test.go:170: none of 5 frames received
--- FAIL: BenchmarkSwitch/size=64/path=c-vswitch
PASS
`

func TestFollow(t *testing.T) {
	s := &session{options: options{budget: time.Minute}, start: time.Now(), round: 1, bar: progressbar.NewOptions64(60_000, progressbar.OptionSetWriter(io.Discard))}
	for _, want := range []string{`goos: linux
goarch: amd64
pkg: github.com/go-vde/sdk/bench
cpu: AMD EPYC
BenchmarkSwitch/size=64/path=inproc-2         	  300000	        70.00 ns/op	  14000000 frames/s
`, "BenchmarkSwitch/size=64/path=inproc-2         	  300000	        70.00 ns/op	  14000000 frames/s\n"} {
		var file strings.Builder
		if err := s.follow(strings.NewReader(verbose), &file); err != nil {
			t.Fatal(err)
		}
		if file.String() != want {
			t.Errorf("round %d: got\n%s\nwant\n%s", s.round, file.String(), want)
		}
		s.round++
	}
	if got := strings.Join(s.skipped, "\n"); got != "Switch/size=64/path=bridge: missing: CAP_NET_ADMIN (run the test as root)" {
		t.Errorf("skipped: %s", got)
	}
	if got := strings.Join(s.failed, "\n"); got != "BenchmarkSwitch/size=64/path=c-vswitch: none of 5 frames received" {
		t.Errorf("failed: %s", got)
	}
}

func TestChosen(t *testing.T) {
	some, err := chosen([]string{"RTT", "Direct"})
	if err != nil || len(some) != 2 || some[0].name != "RTT" || some[0].file() != "rtt.txt" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := chosen([]string{"rtt"}); err == nil {
		t.Error("a benchmark of another name was found")
	}
}

func TestTopLines(t *testing.T) {
	const top = `File: bench.test
Type: cpu
Duration: 1.2s, Total samples = 2s (170%)
Showing top 12 nodes out of 100
      flat  flat%   sum%        cum   cum%
     1.50s 75.00% 75.00%      1.50s 75.00%  internal/runtime/syscall.Syscall6
`
	if got, want := topLines(top), top[strings.Index(top, "      flat"):]; got != want {
		t.Errorf("got\n%s", got)
	}
	if got := topLines("nothing"); got != "nothing" {
		t.Errorf("got %q", got)
	}
}

func TestField(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("processor\t: 0\nmodel name\t: AMD EPYC: 7\nmodel name\t: other\nPRETTY_NAME=\"Debian\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"model name": "AMD EPYC: 7", "PRETTY_NAME": `"Debian"`, "model": "unknown"} {
		if got := field(name, key); got != want {
			t.Errorf("%s is %q", key, got)
		}
	}
}

// TestRender makes the tables and plots from a few results.
func TestRender(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	template, err := os.ReadFile("../../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	document := write("doc.md", string(template))
	write("switch.txt", "# round 1\nBenchmarkSwitch/size=64/path=c-vswitch-2 100 7 ns/op 600000 frames/s\nBenchmarkSwitch/size=64/path=c-vde_switch-2 100 9 ns/op 400000 frames/s\n")
	write(histogramFile, "")
	write(machineFile, "| machine | a test |\n")
	write(profileFile, "")
	write(settingsFile, "")
	// A plot needs every figure it draws.
	write("ports.txt", "BenchmarkPorts/ports=2/switch=inproc-2 100 7 ns/op 1000000 frames/s\n")
	o := options{results: dir, document: document, plots: filepath.Join(dir, "plots")}
	if err := render(o); err == nil || !strings.Contains(err.Error(), "switch-gbits") {
		t.Errorf("a plot without figures: %v", err)
	}
	write("switch.txt", "# round 1\nBenchmarkSwitch/size=64/path=c-vswitch-2 100 7 ns/op 600000 frames/s 1.5 Gbit/s 4 cpu-s/Mframe\nBenchmarkSwitch/size=64/path=c-vde_switch-2 100 9 ns/op 400000 frames/s 1 Gbit/s 6 cpu-s/Mframe\n")
	if err := render(o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| machine | a test |", "| `c-vswitch` | 0.600 ±0 % |", "`vswitch` to `vde_switch` | 1.50 | 1.50 … 1.50 | ≥ 1.20 | met |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document does not have %q", want)
		}
	}
	for _, name := range []string{"switch.svg", "switch.png", "ports.svg", "switch-cpu.png"} {
		if _, err := os.Stat(filepath.Join(dir, "plots", name)); err != nil {
			t.Error(err)
		}
	}
}
