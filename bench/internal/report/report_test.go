// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-vde/sdk/bench/internal/report"
)

// sample is what the benchmarks have printed once, shortened.
const sample = `# a comment
# round 1
goos: linux
goarch: amd64
pkg: github.com/go-vde/sdk/bench
cpu: AMD EPYC
BenchmarkSwitch/size=64/path=vswitch-2         	  100000	      2000 ns/op	         0 %lost	         0.2560 Gbit/s	         2.500 cpu-s/Mframe	        20.00 frames/call	    500000 frames/s	       1 B/op	       0 allocs/op
BenchmarkSwitch/size=64/path=vde_switch-2      	  100000	      4000 ns/op	         2.000 %lost	         0.1280 Gbit/s	         4.000 cpu-s/Mframe	    250000 frames/s
BenchmarkSwitch/size=imix/path=vswitch-2       	  100000	      2000 ns/op	         0 %lost	    400000 frames/s
# round 2
BenchmarkSwitch/size=64/path=vde_switch-2      	  100000	      2500 ns/op	         0 %lost	    400000 frames/s
BenchmarkSwitch/size=64/path=vswitch-2         	  100000	      1000 ns/op	         0 %lost	   1000000 frames/s
# round 3
BenchmarkSwitch/size=64/path=vswitch-2         	  100000	      2000 ns/op	         0 %lost	    600000 frames/s
BenchmarkRTT/load=closed/path=vswitch-2        	   10000	     25000 ns/op	     24000 p50-ns	     50000 p99-ns	     99000 p99.9-ns
BenchmarkPorts/ports=2/switch=inproc-2         	   10000	        70 ns/op	      8192 B/port	  14000000 frames/s
BenchmarkPorts/ports=1000/switch=inproc-2      	   10000	        80 ns/op	      9216 B/port	  12500000 frames/s
`

func read(t *testing.T) report.Results {
	t.Helper()
	rs, err := report.Read(strings.NewReader(sample), "sample")
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func TestRead(t *testing.T) {
	rs := read(t)
	if len(rs) != 9 {
		t.Fatalf("%d results", len(rs))
	}
	r := rs[0]
	if r.Suite != "Switch" || r.Round != "1" || r.Keys["size"] != "64" || r.Keys["path"] != "vswitch" || len(r.Keys) != 2 {
		t.Errorf("%+v", r)
	}
	for unit, want := range map[string]float64{"ns/op": 2000, "%lost": 0, "Gbit/s": 0.256, "cpu-s/Mframe": 2.5, "frames/s": 500000, "allocs/op": 0} {
		if got, ok := r.Values[unit]; !ok || got != want {
			t.Errorf("%s: %v, %v; want %v", unit, got, ok, want)
		}
	}
	if got := rs[6].Values["p99.9-ns"]; got != 99000 {
		t.Errorf("p99.9-ns: %v: units must stay as they were written", got)
	}
	if got := rs.Of("Switch", "path"); strings.Join(got, " ") != "vswitch vde_switch" {
		t.Errorf("paths %v", got)
	}
	if _, err := report.Read(strings.NewReader("BenchmarkX 1 2\n"), "bad"); err == nil {
		t.Error("a value without a unit was read")
	}
}

func TestSummarize(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   report.Summary
	}{
		{[]float64{7}, report.Summary{N: 1, Min: 7, Q1: 7, Median: 7, Q3: 7, Max: 7}},
		{[]float64{3, 1}, report.Summary{N: 2, Min: 1, Q1: 1.5, Median: 2, Q3: 2.5, Max: 3}},
		{[]float64{5, 1, 4, 2, 3}, report.Summary{N: 5, Min: 1, Q1: 2, Median: 3, Q3: 4, Max: 5}},
		{[]float64{1, 2, 3, 100}, report.Summary{N: 4, Min: 1, Q1: 1.75, Median: 2.5, Q3: 27.25, Max: 100}},
	} {
		in := append([]float64(nil), test.values...)
		if got := report.Summarize(in); got != test.want {
			t.Errorf("%v: %+v, want %+v", test.values, got, test.want)
		}
		for i := range in {
			if in[i] != test.values[i] {
				t.Error("the argument was sorted")
			}
		}
	}
	if got := (report.Summary{Q1: 90, Median: 100, Q3: 130}).Spread(); got != 20 {
		t.Errorf("spread %v", got)
	}
}

func TestRatio(t *testing.T) {
	rs := read(t)
	a, b := report.Keys{"size": "64", "path": "vswitch"}, report.Keys{"size": "64", "path": "vde_switch"}
	// Round 3 has no other side.
	s, ok := rs.Ratio("Switch", a, b, "frames/s")
	if !ok || s.N != 2 || s.Min != 2 || s.Max != 2.5 || s.Median != 2.25 {
		t.Errorf("%+v, %v", s, ok)
	}
	if _, ok := rs.Ratio("Switch", a, report.Keys{"path": "bridge"}, "frames/s"); ok {
		t.Error("a ratio to nothing")
	}

	because := func(rs report.Results) string { return fmt.Sprintf("Because of %d results.", len(rs)) }
	text := report.Ratios(rs, []report.Target{
		{What: "met", Suite: "Switch", A: a, B: b, Unit: "frames/s", Want: 2},
		{What: "failed", Suite: "Switch", A: a, B: b, Unit: "frames/s", Want: 3, Why: because},
		{What: "too", Suite: "Switch", A: a, B: b, Unit: "frames/s", Want: 4, Why: because},
		{What: "low", Suite: "Switch", A: a, B: b, Unit: "ns/op", Want: 1, Lower: true},
		{What: "shown", Suite: "Switch", A: a, B: b, Unit: "frames/s"},
		{What: "absent", Suite: "Switch", A: a, B: report.Keys{"path": "bridge"}, Unit: "frames/s", Want: 1},
	})
	want := `| ratio of | median | least … most | target |  |
|---|--:|--:|--:|--:|
| met | 2.25 | 2.00 … 2.50 | ≥ 2.00 | met |
| failed | 2.25 | 2.00 … 2.50 | ≥ 3.00 | **missed** |
| too | 2.25 | 2.00 … 2.50 | ≥ 4.00 | **missed** |
| low | 0.450 | 0.400 … 0.500 | ≤ 1.00 | met |
| shown | 2.25 | 2.00 … 2.50 | – |  |
| absent | – | – | ≥ 1.00 | not measured |

Targets missed, with the reasons:

- failed: 2.25 instead of ≥ 3.00.
- too: 2.25 instead of ≥ 4.00.

  Because of 9 results.
`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}

	text = report.Behind(rs, []report.Target{
		{What: "ahead", Suite: "Switch", A: a, B: b, Unit: "frames/s", Want: 3, Why: because},
		{What: "behind", Suite: "Switch", A: b, B: a, Unit: "frames/s", Why: because},
		{What: "slower", Suite: "Switch", A: b, B: a, Unit: "ns/op", Lower: true, Why: because},
		{What: "absent", Suite: "Switch", A: a, B: report.Keys{"path": "bridge"}, Unit: "frames/s", Why: because},
	})
	want = "- behind: 0.450 (0.400 … 0.500)\n- slower: 2.25 (2.00 … 2.50)\n\n  Because of 9 results.\n"
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if text := report.Behind(rs, nil); text != "None.\n" {
		t.Errorf("got %q", text)
	}
}

func TestThroughput(t *testing.T) {
	want := "| path | 64 B | IMIX |\n" +
		"|---|--:|--:|\n" +
		"| `vswitch` | 0.600 ±21 % | 0.400 ±0 % |\n" +
		"| `vde_switch` | 0.325 ±12 %<br>lost 1.00 % | – |\n"
	if got := report.Throughput(read(t), "Switch"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDetails(t *testing.T) {
	got := report.Details(read(t), "Switch", "64")
	for _, line := range []string{
		"| `vswitch` | 0.256 | 20.0 | 2.50 | – | 0 |\n",
		"| `vde_switch` | 0.128 | – | 4.00 | – | – |\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
}

func TestGrid(t *testing.T) {
	got := report.Grid(read(t), "Ports", "ports", "switch", []report.Figure{
		{Name: "M frames/s", Unit: "frames/s", Scale: 1e6, Spread: true}, {Name: "KiB", Unit: "B/port", Scale: 1024}, {Name: "none", Unit: "x"}})
	want := "| ports | `inproc`: M frames/s | `inproc`: KiB | `inproc`: none |\n" +
		"|---|--:|--:|--:|\n" +
		"| 2 | 14.0 ±0 % | 8.00 | – |\n" +
		"| 1000 | 12.5 ±0 % | 9.00 | – |\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.00123: "0.0012", 0.1234: "0.123", 0.9996: "1.00", 1.239: "1.24", 9.996: "10.0", 99.96: "100",
		1234.5: "1,234", 1234567: "1,234,567", -1234: "-1,234", -0.5: "-0.500", 123: "123",
	} {
		if got := report.Number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

// histogramLines encodes times as the benchmarks do.
func histogramLines(t *testing.T, name string, times ...int64) string {
	t.Helper()
	h := hdrhistogram.New(1, 1e10, 3)
	for _, v := range times {
		if err := h.RecordValue(v); err != nil {
			t.Fatal(err)
		}
	}
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	return name + " " + string(text) + "\n"
}

func TestRoundTrips(t *testing.T) {
	text := histogramLines(t, "RTT/load=closed/path=vswitch", 10_000, 20_000) + histogramLines(t, "RTT/load=closed/path=vswitch", 30_000)
	hs, err := report.ReadHistograms(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got := report.RoundTrips(read(t), hs, "RTT", "path", []string{"closed"})
	want := "| path | closed loop, µs: median | 99 % | 99.9 % | answers |\n" +
		"|---|--:|--:|--:|--:|\n" +
		"| `vswitch` | 20.0 ±0 % | 30.0 | 30.0 | 3 |\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, bad := range []string{"nothing\n", "RTT/x notbase64\n"} {
		if _, err := report.ReadHistograms(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestReplace(t *testing.T) {
	doc := "# Title\n<!-- begin a -->\nold\n<!-- end a -->\ntext\n<!-- begin b -->\n<!-- end b -->\n"
	got, err := report.Replace(doc, "b", "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err = report.Replace(got, "a", "| x |"); err != nil {
		t.Fatal(err)
	}
	want := "# Title\n<!-- begin a -->\n\n| x |\n\n<!-- end a -->\ntext\n<!-- begin b -->\n\nnew\n\n<!-- end b -->\n"
	if got != want {
		t.Errorf("got %q", got)
	}
	if again, err := report.Replace(got, "a", "| x |"); err != nil || again != got {
		t.Errorf("the second time it is %q, %v", again, err)
	}
	for _, section := range []string{"c", ""} {
		if _, err := report.Replace(doc, section, ""); err == nil {
			t.Errorf("section %q was found", section)
		}
	}
	if _, err := report.Replace("<!-- end a -->\n<!-- begin a -->\n", "a", ""); err == nil {
		t.Error("a section that ends before it begins was found")
	}
}
