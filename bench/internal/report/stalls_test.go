// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report_test

import (
	"strings"
	"testing"

	"github.com/go-vde/sdk/bench/internal/report"
)

// stalling are made-up results: fdbased stalls in two of three rounds, and lossy in
// all of them.
const stalling = `# round 1
BenchmarkTCP/mtu=1500/stack=netstack-2 	1	4.000 Gbit/s	1.0 gap-ms	2.000 cpu-s/GB
BenchmarkTCP/mtu=1500/stack=fdbased-2  	1	0.001 Gbit/s	199.0 gap-ms	500.0 cpu-s/GB
BenchmarkTCP/mtu=1500/stack=lossy-2    	1	0 Gbit/s	200.0 gap-ms
# round 2
BenchmarkTCP/mtu=1500/stack=netstack-2 	1	6.000 Gbit/s	1.0 gap-ms	2.000 cpu-s/GB
BenchmarkTCP/mtu=1500/stack=fdbased-2  	1	2.000 Gbit/s	3.0 gap-ms	4.000 cpu-s/GB
BenchmarkTCP/mtu=1500/stack=lossy-2    	1	0.500 Gbit/s	50.0 gap-ms	9.000 cpu-s/GB
# round 3
BenchmarkTCP/mtu=1500/stack=netstack-2 	1	8.000 Gbit/s	49.9 gap-ms	2.000 cpu-s/GB
BenchmarkTCP/mtu=1500/stack=fdbased-2  	1	0.500 Gbit/s	80.0 gap-ms	90.00 cpu-s/GB
BenchmarkTCP/mtu=1500/stack=lossy-2    	1	0.500 Gbit/s	150.0 gap-ms	9.000 cpu-s/GB
# round 4
BenchmarkTCP/mtu=1500/stack=fdbased-2  	1	0.500 Gbit/s	80.0 gap-ms	90.00 cpu-s/GB
`

func readStalling(t *testing.T) report.Results {
	t.Helper()
	rs, err := report.Read(strings.NewReader(stalling), "stalling")
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// TestStalls counts the rounds in which one of two stacks stalled, of those in which
// both ran.
func TestStalls(t *testing.T) {
	rs := readStalling(t)
	of := func(stack string) report.Keys { return report.Keys{"stack": stack} }
	for _, test := range []struct {
		choices         []report.Keys
		stalled, rounds int
	}{
		{[]report.Keys{of("netstack")}, 0, 3},
		{[]report.Keys{of("fdbased")}, 3, 4},
		{[]report.Keys{of("netstack"), of("fdbased")}, 2, 3},
		{[]report.Keys{of("lossy"), of("fdbased")}, 3, 3},
		{[]report.Keys{of("netstack"), of("absent")}, 0, 0},
	} {
		if stalled, rounds := rs.Stalls("TCP", test.choices...); stalled != test.stalled || rounds != test.rounds {
			t.Errorf("%v: %d of %d rounds, want %d of %d", test.choices, stalled, rounds, test.stalled, test.rounds)
		}
	}
}

// TestStalledRatio expects no ratio of a round in which one side stalled.
func TestStalledRatio(t *testing.T) {
	stack := func(name string) report.Keys { return report.Keys{"stack": name} }
	why := func(report.Results) string { return "Because." }
	target := func(other string, want float64) report.Target {
		return report.Target{What: other, Suite: "TCP", A: stack("netstack"), B: stack(other), Unit: "Gbit/s", Want: want, Why: why}
	}
	got := report.Ratios(readStalling(t), []report.Target{target("fdbased", 4), target("lossy", 4)})
	want := `| ratio of | median | least … most | target |  |
|---|--:|--:|--:|--:|
| fdbased | 3.00 | 3.00 … 3.00<br>stalled in 2 of 3 rounds | ≥ 4.00 | **missed** |
| lossy | – | stalled in 3 of 3 rounds | ≥ 4.00 | no ratio |

Targets missed, with the reasons:

- fdbased: 3.00 instead of ≥ 4.00.

  Because.
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := report.Behind(readStalling(t), []report.Target{target("lossy", 0)}); got != "None.\n" {
		t.Errorf("behind a stack that stalled: %s", got)
	}
}

// TestStalledGrid expects the figures of the other rounds only, and says so once.
func TestStalledGrid(t *testing.T) {
	got := report.Grid(readStalling(t), "TCP", "stack", "mtu", []report.Figure{
		{Name: "Gbit/s", Unit: "Gbit/s", Scale: 1, Spread: true}, {Name: "CPU", Unit: "cpu-s/GB", Scale: 1}})
	want := "| stack | `1500`: Gbit/s | `1500`: CPU |\n" +
		"|---|--:|--:|\n" +
		"| netstack | 6.00 ±17 % | 2.00 |\n" +
		"| fdbased | 2.00 ±0 %<br>stalled in 3 of 4 rounds | 4.00 |\n" +
		"| lossy | –<br>stalled in 3 of 3 rounds | – |\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
