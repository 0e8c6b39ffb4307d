// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"fmt"
	"strings"
)

// missing stands for no figure: a path that does not carry such frames,
// or a peer that is not on the machine.
const missing = "–"

// Throughput is a table of million frames per second, with the median's spread,
// and what was lost on the way.
func Throughput(rs Results, suite string) string {
	sizes := rs.Of(suite, "size")
	rows := [][]string{{"path"}}
	for _, size := range sizes {
		rows[0] = append(rows[0], sizeName(size))
	}
	for _, path := range rs.Of(suite, "path") {
		row := []string{"`" + path + "`"}
		for _, size := range sizes {
			row = append(row, rate(rs, suite, Keys{"path": path, "size": size}))
		}
		rows = append(rows, row)
	}
	return table(rows)
}

func sizeName(size string) string {
	if size == "imix" {
		return "IMIX"
	}
	return size + " B"
}

// rate is a median rate in million frames per second, and the loss.
func rate(rs Results, suite string, keys Keys) string {
	s, ok := rs.Summary(suite, keys, "frames/s")
	if !ok {
		return missing
	}
	text := fmt.Sprintf("%s ±%.0f %%", Number(s.Median/1e6), s.Spread())
	if lost, ok := rs.Summary(suite, keys, "%lost"); ok {
		text += loss(lost)
	}
	return text
}

// loss says what was lost in the median round and, if that is much more, in the
// worst. Nothing lost is not mentioned.
func loss(s Summary) string {
	median, worst := fmt.Sprintf("%.2f %%", s.Median), fmt.Sprintf("%.2f %%", s.Max)
	switch {
	case s.Max == 0:
		return ""
	case s.Max < 0.005:
		return "<br>lost < 0.01 %"
	case s.Median < 0.005:
		return "<br>lost up to " + worst
	case s.Max > 2*s.Median:
		return "<br>lost " + median + ", up to " + worst
	}
	return "<br>lost " + median
}

// Details is a table of the other figures of a suite at one size.
func Details(rs Results, suite, size string) string {
	rows := [][]string{{"path, " + sizeName(size), "Gbit/s", "frames per call", "CPU s per million", "of it in the kernel", "allocations per frame"}}
	for _, path := range rs.Of(suite, "path") {
		keys := Keys{"path": path, "size": size}
		if _, ok := rs.Summary(suite, keys, "frames/s"); !ok {
			continue
		}
		get := func(unit, format string) string {
			s, ok := rs.Summary(suite, keys, unit)
			if !ok {
				return missing
			}
			return fmt.Sprintf(format, Number(s.Median))
		}
		rows = append(rows, []string{"`" + path + "`", get("Gbit/s", "%s"), get("frames/call", "%s"), get("cpu-s/Mframe", "%s"), get("%kernel", "%s %%"), get("allocs/op", "%s")})
	}
	return table(rows)
}

// RoundTrips is a table of the percentiles of all rounds together, in
// microseconds. The spread is that of the rounds' medians.
func RoundTrips(rs Results, hs Histograms, suite, key string, loads []string) string {
	rows := [][]string{{key}}
	for _, load := range loads {
		rows[0] = append(rows[0], loadName(load)+": median", "99 %", "99.9 %", "answers")
	}
	for _, path := range rs.Of(suite, key) {
		row := []string{"`" + path + "`"}
		for _, load := range loads {
			keys, name := Keys{key: path}, suite+"/"+key+"="+path
			if load != "" {
				keys["load"], name = load, suite+"/load="+load+"/"+key+"="+path
			}
			h, ok := hs[name]
			if !ok {
				row = append(row, missing, missing, missing, missing)
				continue
			}
			spread := ""
			if s, ok := rs.Summary(suite, keys, "p50-ns"); ok {
				spread = fmt.Sprintf(" ±%.0f %%", s.Spread())
			}
			answers := grouped(fmt.Sprint(h.TotalCount()))
			if s, ok := rs.Summary(suite, keys, "%lost"); ok && s.Max > 0 {
				answers += loss(s)
			}
			row = append(row, microseconds(h.ValueAtQuantile(50))+spread, microseconds(h.ValueAtQuantile(99)), microseconds(h.ValueAtQuantile(99.9)), answers)
		}
		rows = append(rows, row)
	}
	return table(rows)
}

func loadName(load string) string {
	switch load {
	case "":
		return "µs"
	case "closed":
		return "closed loop, µs"
	}
	return grouped(load) + "/s, µs"
}

func microseconds(ns int64) string { return Number(float64(ns) / 1e3) }

// Grid is a table of several figures: a row for each value of the key row, and for
// each value of the key column one column for each figure.
func Grid(rs Results, suite, row, column string, figures []Figure) string {
	columns := rs.Of(suite, column)
	rows := [][]string{{row}}
	for _, c := range columns {
		for _, f := range figures {
			rows[0] = append(rows[0], fmt.Sprintf("`%s`: %s", c, f.Name))
		}
	}
	for _, r := range rs.Of(suite, row) {
		line := []string{r}
		for _, c := range columns {
			for _, f := range figures {
				line = append(line, f.cell(rs, suite, Keys{row: r, column: c}))
			}
		}
		rows = append(rows, line)
	}
	return table(rows)
}

// A Figure is a column of a [Grid].
type Figure struct {
	Name   string
	Unit   string // of the benchmark
	Scale  float64
	Spread bool
}

// cell is the median. With the spread it also says how many runs stalled, which the
// median leaves out.
func (f Figure) cell(rs Results, suite string, keys Keys) string {
	s, ok := rs.Summary(suite, keys, f.Unit)
	text := missing
	if ok {
		text = Number(s.Median / f.Scale)
	}
	if !f.Spread {
		return text
	}
	if ok {
		text += fmt.Sprintf(" ±%.0f %%", s.Spread())
	}
	if stalls := stalls(rs.Stalls(suite, keys)); stalls != "" {
		text += "<br>" + stalls
	}
	return text
}

// stalls says in how many rounds there was a stall; none is not mentioned.
func stalls(stalled, rounds int) string {
	if stalled == 0 {
		return ""
	}
	return fmt.Sprintf("stalled in %d of %d rounds", stalled, rounds)
}

// A Target is a ratio: A divided by B is at least Want, or at most if Lower.
type Target struct {
	What  string
	Suite string
	A, B  Keys
	Unit  string
	Want  float64 // 0: no target, for comparison only
	Lower bool
	Why   func(Results) string // the reason if it is missed; may be nil
}

// Ratios is a table of the targets with the ratios measured, within each round, and
// the reasons for those missed. A round in which one side stalled has no ratio.
func Ratios(rs Results, targets []Target) string {
	rows := [][]string{{"ratio of", "median", "least … most", "target", ""}}
	var missed reasons
	for _, t := range targets {
		row, reached := t.row(rs)
		rows = append(rows, row)
		if !reached && t.Why != nil {
			missed.add(t.Why(rs), fmt.Sprintf("%s: %s instead of %s.", t.What, row[1], t.want()))
		}
	}
	text := table(rows)
	if len(missed.order) > 0 {
		text += "\nTargets missed, with the reasons:\n" + missed.String()
	}
	return text
}

// row is the line of a target in the table, and reports whether the target was
// reached or could not be.
func (t Target) row(rs Results) (row []string, reached bool) {
	stalls := stalls(rs.Stalls(t.Suite, t.A, t.B))
	s, ok := rs.Ratio(t.Suite, t.A, t.B, t.Unit)
	switch {
	case !ok && stalls != "":
		return []string{t.What, missing, stalls, t.want(), "no ratio"}, true
	case !ok:
		return []string{t.What, missing, missing, t.want(), "not measured"}, true
	}
	span := Number(s.Min) + " … " + Number(s.Max)
	if stalls != "" {
		span += "<br>" + stalls
	}
	verdict, reached := "", true
	if t.Want > 0 {
		verdict = "met"
		if t.misses(s.Median, t.Want) {
			verdict, reached = "**missed**", false
		}
	}
	return []string{t.What, Number(s.Median), span, t.want(), verdict}, reached
}

// Behind lists those of the comparisons in which the first is behind the second,
// whatever the target, with the reasons.
func Behind(rs Results, comparisons []Target) string {
	var behind reasons
	for _, t := range comparisons {
		if s, ok := rs.Ratio(t.Suite, t.A, t.B, t.Unit); ok && t.misses(s.Median, 1) {
			behind.add(t.Why(rs), fmt.Sprintf("%s: %s (%s … %s)", t.What, Number(s.Median), Number(s.Min), Number(s.Max)))
		}
	}
	if len(behind.order) == 0 {
		return "None.\n"
	}
	return strings.TrimPrefix(behind.String(), "\n")
}

// misses reports whether ratio is on the wrong side of want.
func (t Target) misses(ratio, want float64) bool {
	return t.Lower && ratio > want || !t.Lower && ratio < want
}

// A reasons is lists of texts that have the same reason.
type reasons struct {
	order []string
	lists map[string][]string
}

func (r *reasons) add(reason, what string) {
	if r.lists == nil {
		r.lists = make(map[string][]string)
	}
	if r.lists[reason] == nil {
		r.order = append(r.order, reason)
	}
	r.lists[reason] = append(r.lists[reason], what)
}

func (r *reasons) String() (text string) {
	for _, reason := range r.order {
		text += "\n- " + strings.Join(r.lists[reason], "\n- ") + "\n\n  " + reason + "\n"
	}
	return text
}

func (t Target) want() string {
	switch {
	case t.Want == 0:
		return missing
	case t.Lower:
		return "≤ " + Number(t.Want)
	}
	return "≥ " + Number(t.Want)
}
