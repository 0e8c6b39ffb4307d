// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// names are those of the counters in the detail view: those about frames that came, and
// those about copies that went.
var names = [2][]struct {
	counter Counter
	name    string
}{
	{
		{InFrames, "frames in"}, {InDuplicated, "  duplicated"}, {InBytes, "bytes in"}, {Forwarded, "forwarded"}, {Flooded, "  flooded"},
		{Copies, "  copies made"}, {GSOFrames, "GSO frames"}, {Segments, "  segments"},
	},
	{
		{Offered, "copies out"}, {Mirrored, "  as a mirror"}, {Probes, "  probes"}, {OutDuplicated, "  duplicated"},
		{OutFrames, "delivered"}, {OutBytes, "  bytes"},
	},
}

// detail returns all that is known of the selected port.
func (p *Page) detail() []string {
	r := p.ports[p.port]
	if r == nil || !r.known {
		return []string{style(bold, fmt.Sprintf("port %d", p.port)), "It does not exist any more."}
	}
	lines := []string{style(bold, fmt.Sprintf("port %d", r.Number)) + "  " + r.Name}
	lines = append(lines, "VLAN "+r.VLAN+"  FDB entries "+strconv.Itoa(r.FDB))
	if states := r.states(); len(states) > 0 {
		lines = append(lines, style(yellow, strings.Join(states, ", ")))
	}
	if !p.hasTotals(r.Number) {
		lines = append(lines, style(yellow, "more ports in use than the switch tells of at a time: not all frames are counted here"))
	}
	lines = append(lines, r.Details...)
	lines = append(lines, "")
	height := max(1, min(4, (p.bodyLines()-len(lines)-len(names[0])-1)/2))
	for _, g := range []struct {
		name  string
		rates *[Seconds]float64
	}{{"in ", &r.in}, {"out", &r.out}} {
		values := p.history(g.rates)
		for i, line := range p.graph(values, min(Seconds, p.width-20), height) {
			label, most := "   ", ""
			if i == 0 {
				most = " " + si(8*slices.Max(values)) + " bit/s"
			}
			if i == height-1 {
				label = g.name
			}
			lines = append(lines, label+" "+style(cyan, line)+most)
		}
	}
	return append(append(lines, ""), p.counters(r)...)
}

// states returns what is special about a port, in words.
func (r *portRow) states() (list []string) {
	if r.Blocked {
		list = append(list, "blocked by loop protection")
	}
	if r.Down {
		list = append(list, "its link is down")
	}
	if len(r.Mirrors) > 0 {
		list = append(list, "mirrored to port "+numbers(r.Mirrors))
	}
	if r.Impaired {
		list = append(list, "impaired")
	}
	return list
}

// counters returns the tables of counters, side by side if there is room.
func (p *Page) counters(r *portRow) []string {
	const width = 38
	var tables [2][]string
	for i := range tables {
		row := func(name, total, rate string) {
			tables[i] = append(tables[i], fit(name, 18, false)+" "+fit(total, 12, true)+" "+fit(rate, 6, true))
		}
		row("", "TOTAL", "PER s")
		tables[i][0] = style(bold, tables[i][0])
		for _, n := range names[i] {
			row(n.name, strconv.FormatUint(r.Total.N[n.counter], 10), p.rate(r, r.Rate(n.counter)))
		}
		dropped, growth := r.Total.InDropped, r.growth.InDropped
		if i == 1 {
			row("waiting", strconv.FormatUint(r.Total.Queued, 10), "")
			dropped, growth = r.Total.OutDropped, r.growth.OutDropped
		}
		for _, cause := range slices.Sorted(maps.Keys(dropped)) {
			row("dropped, "+cause, strconv.FormatUint(dropped[cause], 10), p.rate(r, r.perSecond(growth[cause])))
			last := &tables[i][len(tables[i])-1]
			*last = style(red, *last)
		}
	}
	if p.width < 2*width+2 {
		return append(append(tables[0], ""), tables[1]...)
	}
	var lines []string
	for i := range max(len(tables[0]), len(tables[1])) {
		var left, right string
		if i < len(tables[0]) {
			left = tables[0][i]
		}
		if i < len(tables[1]) {
			right = tables[1][i]
		}
		lines = append(lines, fit(left, width, false)+"  "+right)
	}
	return lines
}
