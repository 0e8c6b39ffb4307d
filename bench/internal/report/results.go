// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package report makes tables and plots of benchmark results.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// A Result is one line of a benchmark's output.
type Result struct {
	Suite  string            // the benchmark's name without sub-benchmarks
	Keys   map[string]string // the key=value parts of the name
	Round  string            // what the file says of the round
	Values map[string]float64
}

// Stalled reports whether nothing arrived for a quarter of the usual 200 ms of a
// run. Such a run measures a retransmission timeout, and no rate.
func (r Result) Stalled() bool { return r.Values["gap-ms"] >= 50 }

// Results are what was measured, in the order in which it was.
type Results []Result

// Read reads the output of go test -bench, in which lines "# round N" say to which
// round the results after them belong. (For benchstat they are comments: rounds
// are samples of the same thing.)
func Read(r io.Reader, name string) (Results, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var rs Results
	var part strings.Builder
	round := ""
	flush := func() error {
		some, err := readRound(strings.NewReader(part.String()), name, round)
		rs = append(rs, some...)
		part.Reset()
		return err
	}
	for line := range strings.Lines(string(text)) {
		if next, ok := strings.CutPrefix(line, "# round "); ok {
			if err := flush(); err != nil {
				return nil, err
			}
			round = strings.TrimSpace(next)
		}
		part.WriteString(line)
	}
	return rs, flush()
}

func readRound(r io.Reader, name, round string) (rs Results, err error) {
	in := benchfmt.NewReader(r, name)
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.Result:
			base, parts := rec.Name.Parts()
			res := Result{Suite: string(base), Keys: map[string]string{}, Round: round, Values: map[string]float64{}}
			for _, part := range parts {
				if key, value, ok := strings.Cut(strings.TrimPrefix(string(part), "/"), "="); ok {
					res.Keys[key] = value
				}
			}
			for _, v := range rec.Values {
				if v.OrigUnit != "" {
					res.Values[v.OrigUnit] = v.OrigValue
				} else {
					res.Values[v.Unit] = v.Value
				}
			}
			rs = append(rs, res)
		case *benchfmt.SyntaxError:
			return nil, rec
		}
	}
	return rs, in.Err()
}

// Keys is a choice of benchmarks: those whose names have these parts.
type Keys = map[string]string

// Values returns what the benchmarks of the suite with all these keys have
// measured, by round. Runs that stalled have measured nothing.
func (rs Results) Values(suite string, keys Keys, unit string) (rounds []string, values []float64) {
	for _, r := range rs {
		if r.Suite != suite || !contains(r.Keys, keys) || r.Stalled() {
			continue
		}
		if v, ok := r.Values[unit]; ok {
			rounds = append(rounds, r.Round)
			values = append(values, v)
		}
	}
	return rounds, values
}

func contains(all, some Keys) bool {
	for k, v := range some {
		if all[k] != v {
			return false
		}
	}
	return true
}

// Summary sums up what was measured in all rounds; ok is false if nothing was.
func (rs Results) Summary(suite string, keys Keys, unit string) (s Summary, ok bool) {
	_, values := rs.Values(suite, keys, unit)
	if len(values) == 0 {
		return s, false
	}
	return Summarize(values), true
}

// Ratio sums up the ratios of a to b, each of two results of the same round.
func (rs Results) Ratio(suite string, a, b Keys, unit string) (s Summary, ok bool) {
	rounds, values := rs.Values(suite, b, unit)
	of := map[string]float64{}
	for i, r := range rounds {
		of[r] = values[i]
	}
	var ratios []float64
	rounds, values = rs.Values(suite, a, unit)
	for i, r := range rounds {
		if d, ok := of[r]; ok && d > 0 {
			ratios = append(ratios, values[i]/d)
		}
	}
	if len(ratios) == 0 {
		return s, false
	}
	return Summarize(ratios), true
}

// Stalls returns in how many rounds a benchmark of the suite with all keys of one of
// these choices stalled, of those in which there was one of each choice.
func (rs Results) Stalls(suite string, choices ...Keys) (stalled, rounds int) {
	ran, stood := make([]map[string]bool, len(choices)), map[string]bool{}
	for i, keys := range choices {
		ran[i] = map[string]bool{}
		for _, r := range rs {
			if r.Suite == suite && contains(r.Keys, keys) {
				ran[i][r.Round] = true
				stood[r.Round] = stood[r.Round] || r.Stalled()
			}
		}
	}
	for round, s := range stood {
		if slices.ContainsFunc(ran, func(in map[string]bool) bool { return !in[round] }) {
			continue
		}
		rounds++
		if s {
			stalled++
		}
	}
	return stalled, rounds
}

// Of returns the different values of a key in a suite, in order of appearance.
func (rs Results) Of(suite, key string) (values []string) {
	for _, r := range rs {
		if v, ok := r.Keys[key]; ok && r.Suite == suite && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

// A Summary describes a sample.
type Summary struct {
	N                        int
	Min, Q1, Median, Q3, Max float64
}

// Summarize describes values, of which there must be one at least. Quartiles lie
// between neighbours in proportion, as R and NumPy have them.
func Summarize(values []float64) Summary {
	v := slices.Sorted(slices.Values(values))
	at := func(q float64) float64 {
		x := q * float64(len(v)-1)
		i := int(x)
		if i+1 == len(v) {
			return v[i]
		}
		return v[i] + (x-float64(i))*(v[i+1]-v[i])
	}
	return Summary{len(v), v[0], at(0.25), at(0.5), at(0.75), v[len(v)-1]}
}

// Spread is half the distance of the quartiles, in per cent of the median.
func (s Summary) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return 50 * (s.Q3 - s.Q1) / s.Median
}

// String is the median with its spread.
func (s Summary) String() string { return fmt.Sprintf("%s ±%.0f %%", Number(s.Median), s.Spread()) }

// Number writes three significant digits without an exponent.
func Number(v float64) string {
	switch a := max(v, -v); {
	case a == 0:
		return "0"
	case a >= 1e15:
		return fmt.Sprintf("%.3g", v)
	case a >= 99.95:
		return grouped(fmt.Sprintf("%.0f", v))
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.9995:
		return fmt.Sprintf("%.2f", v)
	case a >= 0.0995:
		return fmt.Sprintf("%.3f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// grouped puts commas between groups of three digits.
func grouped(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// Only returns the results without those of the suite that have another value of
// the key.
func (rs Results) Only(suite, key, value string) Results {
	return slices.DeleteFunc(slices.Clone(rs), func(r Result) bool { return r.Suite == suite && r.Keys[key] != value })
}

// Has reports whether there is a result of the suite.
func (rs Results) Has(suite string) bool {
	return slices.ContainsFunc(rs, func(r Result) bool { return r.Suite == suite })
}
