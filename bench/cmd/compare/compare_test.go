// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	s, err := read(strings.NewReader(`pkg: internal/shm
BenchmarkRing/size=64-2    100    50.0 ns/op    1280 MB/s    20000000 frames/s    0 allocs/op
BenchmarkRing/size=64-2    100    40.0 ns/op    1600 MB/s    25000000 frames/s    0 allocs/op
pkg: vde
BenchmarkRead/a_b    100    7 ns/op
`), "results")
	if err != nil {
		t.Fatal(err)
	}
	if got := s["internal/shm Ring/size=64"]["frames/s"]; !slices.Equal(got, []float64{20e6, 25e6}) {
		t.Errorf("frames/s: %v of %v", got, s)
	}
	if got := s["vde Read/a_b"]["ns/op"]; !slices.Equal(got, []float64{7}) {
		t.Errorf("ns/op: %v of %v", got, s)
	}
	if _, err := read(strings.NewReader("BenchmarkX 1 2\n"), "bad"); err == nil {
		t.Error("a value without a unit was read")
	}
}

func TestCompared(t *testing.T) {
	for _, test := range []struct{ units, want string }{
		{"ns/op", "ns/op"},
		{"ns/op B/op allocs/op MB/s", "allocs/op ns/op"},
		{"ns/op frames/s frames/call MB/s", "frames/s"},
		{"ns/op go-frames/s c-frames/s go/c", "c-frames/s go-frames/s"},
		{"vde-median-µs p50-ns %lost cpu-s/GB", "cpu-s/GB p50-ns vde-median-µs"},
	} {
		units := map[string][]float64{}
		for _, unit := range strings.Fields(test.units) {
			units[unit] = []float64{1}
		}
		if got := strings.Join(compared(units), " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.units, got, test.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	around := func(median, spread float64) []float64 {
		return []float64{median - 2*spread, median - spread, median - spread/2, median, median + spread/2, median + spread, median + 2*spread}
	}
	for _, test := range []struct {
		name       string
		base, head []float64
		better     direction
		want       string
	}{
		{"equal", around(100, 1), around(100, 1), lower, isSame},
		{"2 % slower", around(100, 0.1), around(102, 0.1), lower, isSame},
		{"5 % slower", around(100, 0.1), around(105, 0.1), lower, isWorse},
		{"5 % faster", around(100, 0.1), around(95, 0.1), lower, isBetter},
		{"5 % more per second", around(100, 0.1), around(105, 0.1), higher, isBetter},
		{"5 % less per second", around(100, 0.1), around(95, 0.1), higher, isWorse},
		{"within the spread of base", around(100, 5), around(105, 0.1), lower, isSame},
		{"within the spread of head", around(100, 0.1), around(105, 5), lower, isSame},
		{"two results each", []float64{100, 100}, []float64{120, 121}, lower, isUnclear},
		{"a first allocation", around(0, 0), around(1, 0), lower, isWorse},
		{"no allocation", around(0, 0), around(0, 0), lower, isSame},
	} {
		if got := verdict(test.base, test.head, test.better, 3); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestRun compares two files in which one benchmark is worse, one is a peer's, and
// one is missing from each.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, only string, ours, theirs int) string {
		var b strings.Builder
		b.WriteString("pkg: vde\n")
		for i := range 5 {
			fmt.Fprintf(&b, "BenchmarkX/size=64-2 1 1 ns/op %d go-frames/s %d c-frames/s\n", ours+i, theirs+i)
			fmt.Fprintf(&b, "Benchmark%s-2 1 1 ns/op\n", only)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base, head := write("base.txt", "Old", 1000, 1000), write("head.txt", "New", 900, 800)
	var out strings.Builder
	worse, err := run(base, head, peers, 3, &out)
	if err != nil || worse != 1 {
		t.Errorf("%d worse, %v", worse, err)
	}
	for _, want := range []string{
		`vde X/size=64 +go-frames/s +5\+5 +1,002 ±0 % +902 ±0 % +0.900 +WORSE\n`,
		`vde X/size=64 +c-frames/s .* +0.800 +\(peer\)\n`,
		`Only in base:\n  vde Old\n`,
		`Only in head:\n  vde New\n`,
		`\n1 of 2 are worse`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no match for %q in\n%s", want, out.String())
		}
	}
	if worse, err := run(base, base, peers, 3, &out); err != nil || worse != 0 {
		t.Errorf("a file against itself: %d worse, %v", worse, err)
	}
	if _, err := run(base, filepath.Join(dir, "absent"), peers, 3, &out); err == nil {
		t.Error("a file that does not exist was compared")
	}
}
