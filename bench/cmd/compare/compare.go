// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"

	"github.com/go-vde/sdk/bench/internal/report"
)

// samples holds the values of each unit of each benchmark.
type samples map[string]map[string][]float64

// read reads the output of go test -bench. The names of benchmarks begin with
// their package.
func read(r io.Reader, name string) (samples, error) {
	s := samples{}
	in := benchfmt.NewReader(r, name)
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.Result:
			base, parts := rec.Name.Parts()
			full := rec.GetConfig("pkg") + " " + string(base)
			for _, part := range parts {
				if part[0] == '/' { // the last one may be the number of processors
					full += string(part)
				}
			}
			if s[full] == nil {
				s[full] = map[string][]float64{}
			}
			for _, v := range rec.Values {
				unit, value := v.Unit, v.Value
				if v.OrigUnit != "" {
					unit, value = v.OrigUnit, v.OrigValue
				}
				s[full][unit] = append(s[full][unit], value)
			}
		case *benchfmt.SyntaxError:
			return nil, rec
		}
	}
	return s, in.Err()
}

// A direction says which values of a unit are better.
type direction int

const (
	neither direction = iota
	lower
	higher
)

func directionOf(unit string) direction {
	switch {
	case strings.HasSuffix(unit, "/s"):
		return higher
	case unit == "allocs/op", strings.HasSuffix(unit, "B/port"), strings.Contains(unit, "cpu-s/"):
		return lower
	case strings.HasPrefix(unit, "ns/"), strings.HasSuffix(unit, "-ns"), strings.HasSuffix(unit, "-µs"):
		return lower
	}
	return neither
}

// compared returns the units of a benchmark in which two revisions are compared.
// Where a benchmark reports a rate of its own, ns/op and MB/s are left out: they
// are the same figure once more, or contain the work of peers.
func compared(units map[string][]float64) (list []string) {
	rate := false
	for unit := range units {
		rate = rate || directionOf(unit) == higher && unit != "MB/s"
	}
	for unit := range units {
		if directionOf(unit) == neither || unit == "MB/s" || unit == "ns/op" && rate {
			continue
		}
		list = append(list, unit)
	}
	slices.Sort(list)
	return list
}

// A line is one unit of one benchmark in both revisions.
type line struct {
	name, unit string
	base, head report.Summary
	verdict    string
}

// The verdicts. A difference beyond the spread that chance explains as well, with
// so few results, is unclear.
const (
	isSame    = "same"
	isWorse   = "WORSE"
	isBetter  = "better"
	isUnclear = "unclear"
	isPeer    = "(peer)"
)

// A comparison is all of them, and the benchmarks of one revision alone.
type comparison struct {
	lines              []line
	onlyBase, onlyHead []string
}

func compare(base, head samples, peer *regexp.Regexp, limit float64) (c comparison) {
	for _, name := range names(base, head) {
		a, b := base[name], head[name]
		switch {
		case b == nil:
			c.onlyBase = append(c.onlyBase, name)
			continue
		case a == nil:
			c.onlyHead = append(c.onlyHead, name)
			continue
		}
		for _, unit := range compared(a) {
			if b[unit] == nil {
				c.onlyBase = append(c.onlyBase, name+" "+unit)
				continue
			}
			l := line{name: name, unit: unit, base: report.Summarize(a[unit]), head: report.Summarize(b[unit])}
			l.verdict = verdict(a[unit], b[unit], directionOf(unit), limit)
			if peer.MatchString(unit) {
				l.verdict = isPeer
			}
			c.lines = append(c.lines, l)
		}
		for _, unit := range compared(b) {
			if a[unit] == nil {
				c.onlyHead = append(c.onlyHead, name+" "+unit)
			}
		}
	}
	return c
}

// names returns the names in either, sorted.
func names(base, head samples) (list []string) {
	for _, s := range []samples{base, head} {
		for name := range s {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// verdict compares medians, with limit in per cent.
func verdict(a, b []float64, better direction, limit float64) string {
	base, head := report.Summarize(a), report.Summarize(b)
	slack := limit + max(base.Spread(), head.Spread())
	change := percent(base.Median, head.Median) // positive is worse
	if better == higher {
		change = percent(head.Median, base.Median)
	}
	if max(change, -change) <= slack {
		return isSame
	}
	// The Mann-Whitney U test, which is that of benchstat.
	sample := func(values []float64) *benchmath.Sample {
		return benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	}
	if c := benchmath.AssumeNothing.Compare(sample(a), sample(b)); c.P > c.Alpha {
		return isUnclear
	}
	if change > 0 {
		return isWorse
	}
	return isBetter
}

// percent is how much more than a the value b is, in per cent of a.
func percent(a, b float64) float64 {
	switch {
	case a == b:
		return 0
	case a == 0: // from no allocation to one
		return 1e9
	}
	return 100 * (b/a - 1)
}

func (c comparison) worse() (n int) {
	for _, l := range c.lines {
		if l.verdict == isWorse {
			n++
		}
	}
	return n
}

func (c comparison) print(w io.Writer, limit float64) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "benchmark\tunit\tn\tbase\thead\thead/base\tverdict")
	for _, l := range c.lines {
		ratio := "–"
		if l.base.Median != 0 {
			ratio = fmt.Sprintf("%.3f", l.head.Median/l.base.Median)
		}
		fmt.Fprintf(t, "%s\t%s\t%d+%d\t%v\t%v\t%s\t%s\n", l.name, l.unit, l.base.N, l.head.N, l.base, l.head, ratio, l.verdict)
	}
	t.Flush()
	for _, side := range []struct {
		name string
		list []string
	}{{"base", c.onlyBase}, {"head", c.onlyHead}} {
		if len(side.list) > 0 {
			fmt.Fprintf(w, "\nOnly in %s:\n  %s\n", side.name, strings.Join(side.list, "\n  "))
		}
	}
	fmt.Fprintf(w, "\n%d of %d are worse by more than %v %% beyond their spread (half the distance between the quartiles).\n"+
		"Unclear: beyond the spread, but with so few results chance explains it (p > 0.05). Peers: programs of others, the same in both.\n", c.worse(), len(c.lines), limit)
}
