// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// How text is drawn, in the language of terminals.
const (
	plain   = ""
	bold    = "1"
	faint   = "2"
	reverse = "7"
	red     = "31"
	yellow  = "33"
	cyan    = "36"
)

// style returns s as it is drawn in a style.
func style(style, s string) string {
	if style == plain || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[m"
}

// Lines of the page beside its body: two of the switch, one of headings, one at the bottom.
const (
	headLines   = 2
	footLines   = 1
	minBody     = 4 // with fewer lines there are no events
	silentAfter = 4 * time.Second
)

// eventLines returns how many lines the events have, with their heading.
func (p *Page) eventLines() int {
	room := p.height - headLines - footLines
	switch {
	case p.panel == noEvents || p.view == helpView || room < 2*minBody:
		return 0
	case p.panel == allEvents:
		return room - minBody
	}
	return min(6, room/3)
}

// bodyLines returns how many lines the largest part has.
func (p *Page) bodyLines() int { return max(0, p.height-headLines-footLines-p.eventLines()) }

// tableLines returns how many ports the table shows.
func (p *Page) tableLines() int { return max(0, p.bodyLines()-1) }

// Draw returns the page: as many lines as it is high, none longer than it is wide.
func (p *Page) Draw() string {
	lines := p.head()
	var body []string
	switch p.view {
	case tableView:
		body = p.table()
	case detailView:
		body = p.detail()
		body = body[max(0, min(p.line, len(body)-1)):]
	case helpView:
		body = strings.Split(ansi.Wordwrap(help, max(1, p.width), ""), "\n")
	}
	n := p.bodyLines()
	lines = append(lines, body[:min(len(body), n)]...)
	lines = append(lines, make([]string, max(0, n-len(body)))...)
	lines = append(lines, p.eventPanel()...)
	lines = append(lines[:min(len(lines), max(0, p.height-footLines))], p.foot())
	for i, line := range lines {
		lines[i] = cut(line, p.width)
	}
	return strings.Join(lines[:max(0, min(len(lines), p.height))], "\n")
}

// head returns the lines about the switch as a whole.
func (p *Page) head() []string {
	s, t := &p.Switch, &p.Total
	parts := []string{style(bold, "switch "+s.Name)}
	if !s.Started.IsZero() && !p.Time.IsZero() {
		parts = append(parts, "up "+age(p.Time.Sub(s.Started)))
	}
	if s.Hub {
		parts = append(parts, style(yellow, "hub"))
	}
	if s.ReadOnly {
		parts = append(parts, style(yellow, "read-only"))
	}
	if p.noRates > 0 {
		parts = append(parts, style(yellow, fmt.Sprintf("no rates from port %d on", p.noRates)))
	}
	parts = append(parts, fmt.Sprintf("ports %d of %d", s.Active, s.Ports), fmt.Sprintf("endpoints %d", s.Endpoints), fmt.Sprintf("FDB %d", s.FDB))
	in, out, dropped := si(8*t.Rate(InBytes)), si(8*t.Rate(OutBytes)), si(t.DropRate())
	second := fmt.Sprintf("in %s frames/s %s bit/s  out %s frames/s %s bit/s  ", si(t.Rate(InFrames)), in, si(t.Rate(OutFrames)), out)
	drops := "dropped " + dropped + "/s"
	if len(second)+len(drops) > p.width {
		second, drops = fmt.Sprintf("in %s out %s bit/s  ", in, out), "drop "+dropped+"/s"
	}
	if t.DropRate() > 0 {
		drops = style(red, drops)
	}
	second += drops
	switch silent := p.now.Sub(p.heard); {
	case p.gone != "":
		second = style(red, "No answer from the switch, trying again: "+p.gone)
	case p.heard.IsZero():
		second = "Waiting for the counters."
	case silent >= silentAfter:
		second = style(red, fmt.Sprintf("No counters have come for %s.", age(silent)))
	}
	return []string{strings.Join(parts, "  "), second}
}

// eventPanel returns the lines about events, the newest last.
func (p *Page) eventPanel() []string {
	n := p.eventLines()
	if n == 0 {
		return nil
	}
	rule := "-"
	if !p.ASCII {
		rule = "─"
	}
	lines := []string{style(faint, fit("events "+strings.Repeat(rule, max(0, p.width-7)), p.width, false))}
	shown := p.events[max(0, len(p.events)-(n-1)):]
	if len(shown) == 0 {
		shown = []string{style(faint, "nothing has happened since this page began")}
	}
	lines = append(lines, shown...)
	return append(lines, make([]string, n-len(lines))...)
}

// foot returns the last line.
func (p *Page) foot() string {
	switch {
	case p.prompt != nil:
		// The end is what is being typed.
		text := p.prompt.question + p.prompt.text
		cursor := style(reverse, " ")
		return tail(text, p.width-1) + cursor
	case p.message != "" && p.failed:
		return style(red, p.message)
	case p.message != "":
		return style(cyan, p.message)
	}
	keys := "enter detail  s sort  r reverse  / filter  m mirror  d disconnect  i impair  e events  ? help  q quit"
	switch {
	case p.view == helpView:
		keys = "any key: back  q quit"
	case p.view == detailView:
		keys = "esc back  n next  p previous  m mirror  d disconnect  i impair  e events  ? help  q quit"
	case p.width < 100:
		keys = "? help  q quit  enter detail  s sort  / filter  m mirror  d disconnect  i impair"
	}
	if p.selection.filter != "" && p.view == tableView {
		keys = style(yellow, "only ports with: "+p.selection.filter) + "  esc all  " + keys
	}
	return style(faint, keys)
}

// tail returns the end of s in at most width cells.
func tail(s string, width int) string {
	for ansi.StringWidth(s) > max(0, width) {
		_, n := utf8.DecodeRuneInString(s)
		s = s[n:]
	}
	return s
}

// help is the text of the help view.
const help = `
arrows, j k, PgUp PgDn, Home End: select a port
enter  all about the selected port; n and p go to the next and the previous
s      sort by number, rate in, rate out, drops, queue, FDB entries
r      reverse the order
/      only ports with a text in number, endpoint, VLAN or state; esc: all
a      also ports without endpoint
m      copy the frames of the port to another one; again to stop
d      hang up on what is attached to the port
i      change settings of the port, those of vde set
e      events: few lines, many, none
q      quit

IN is what comes from the port, OUT what goes to it. MINUTE is the last minute
of both, each port on its own scale. QUEUE is what waits in the switch.
STATE: B blocked by loop protection, D link is down, M mirrored, I impaired
?: not known, as more ports are busy than the switch tells of at a time`

// A column is one of the table.
type column struct {
	title string
	width int
	rank  int // the greater, the sooner it is left out
	sort  Sort
	right bool
	text  func(p *Page, r *portRow) string
}

// The columns of the table, and the widths of those that take what is left.
const (
	nameColumn, vlanColumn, minuteColumn = 1, 2, 7

	minName, enoughName = 8, 14
	maxName             = 36
	maxVLAN             = 18
	unsorted            = -1
)

var columns = []column{
	{"PORT", 5, 0, ByNumber, true, func(_ *Page, r *portRow) string { return strconv.Itoa(r.Number) }},
	{"ENDPOINT", minName, 0, unsorted, false, func(_ *Page, r *portRow) string { return r.Name }},
	{"VLAN", 6, 7, unsorted, false, func(_ *Page, r *portRow) string { return r.VLAN }},
	{"IN f/s", 7, 8, unsorted, true, func(p *Page, r *portRow) string { return p.rate(r, r.Rate(InFrames)) }},
	{"IN b/s", 7, 1, ByIn, true, func(p *Page, r *portRow) string { return p.rate(r, 8*r.Rate(InBytes)) }},
	{"OUT f/s", 8, 8, unsorted, true, func(p *Page, r *portRow) string { return p.rate(r, r.Rate(OutFrames)) }},
	{"OUT b/s", 8, 1, ByOut, true, func(p *Page, r *portRow) string { return p.rate(r, 8*r.Rate(OutBytes)) }},
	{"MINUTE", 8, 4, unsorted, false, nil},
	{"QUEUE", 6, 5, ByQueue, true, func(p *Page, r *portRow) string { return p.rate(r, float64(r.Total.Queued)) }},
	{"DROP/s", 7, 2, ByDrops, true, func(p *Page, r *portRow) string { return p.rate(r, r.DropRate()) }},
	{"FDB", 5, 6, ByFDB, true, func(_ *Page, r *portRow) string { return count(float64(r.FDB)) }},
	{"STATE", 5, 3, unsorted, false, func(_ *Page, r *portRow) string { return r.marks() }},
}

// rate returns what a port has had in the last interval as text, if that is known.
func (p *Page) rate(r *portRow, v float64) string {
	if !p.hasRates(r.Number) {
		return "?"
	}
	return count(v)
}

// widths returns the width of each column, 0 for those that there is no room for.
func (p *Page) widths() []int {
	widths := make([]int, len(columns))
	left := p.width + 1
	for rank := range 9 {
		need := 0
		for _, c := range columns {
			if c.rank == rank {
				need += c.width + 1
			}
		}
		spare := 0
		if rank > 4 {
			spare = enoughName - minName
		}
		if need == 0 || rank > 0 && left < need+spare {
			continue
		}
		for i, c := range columns {
			if c.rank == rank {
				widths[i] = c.width
			}
		}
		left -= need
	}
	for _, c := range []struct{ column, most int }{{nameColumn, maxName}, {vlanColumn, maxVLAN}, {minuteColumn, Seconds}} {
		if w := widths[c.column]; w > 0 {
			more := max(0, min(left, c.most-w))
			widths[c.column] += more
			left -= more
		}
	}
	widths[nameColumn] += max(0, left)
	return widths
}

// table returns the headings and the ports that are seen.
func (p *Page) table() []string {
	widths := p.widths()
	var titles []string
	for i, c := range columns {
		if widths[i] == 0 {
			continue
		}
		title := c.title
		if c.sort == p.selection.sort {
			title += p.arrow()
		}
		titles = append(titles, fit(title, widths[i], c.right))
	}
	lines := []string{style(bold, strings.Join(titles, " "))}
	rows := p.rows(p.selection)
	for _, r := range rows[min(p.first, len(rows)):min(p.first+p.tableLines(), len(rows))] {
		var cells []string
		for i, c := range columns {
			switch {
			case widths[i] == 0:
			case i == minuteColumn:
				cells = append(cells, fit(p.graph(p.both(&r.Series), widths[i], 1)[0], widths[i], true))
			default:
				cells = append(cells, fit(c.text(p, r), widths[i], c.right))
			}
		}
		lines = append(lines, style(r.style(r.Number == p.port), strings.Join(cells, " ")))
	}
	if len(rows) == 0 {
		lines = append(lines, style(faint, p.emptyText()))
	}
	return lines
}

// style returns how a port is drawn in the table.
func (r *portRow) style(selected bool) string {
	var styles []string
	if selected {
		styles = append(styles, reverse)
	}
	switch {
	case r.Blocked || r.DropRate() > 0:
		styles = append(styles, red)
	case r.Down || r.Impaired:
		styles = append(styles, yellow)
	case !r.Active:
		styles = append(styles, faint)
	}
	return strings.Join(styles, ";")
}

// arrow returns the sign of the column that the table is sorted by.
func (p *Page) arrow() string {
	up := (p.selection.sort == ByNumber) != p.selection.reverse
	switch {
	case p.ASCII && up:
		return "^"
	case p.ASCII:
		return "v"
	case up:
		return "▴"
	}
	return "▾"
}

// emptyText says why the table is empty.
func (p *Page) emptyText() string {
	switch {
	case p.Switch == Switch{}:
		return "Waiting for the ports."
	case p.selection.filter != "":
		return "No port has that text."
	case p.selection.all:
		return "No port has been in use."
	}
	return "Nothing is attached to the switch."
}

// graph draws values in symbols that the terminal has.
func (p *Page) graph(values []float64, width, lines int) []string {
	if p.ASCII {
		return graph(values, width, lines, ascii)
	}
	return graph(values, width, lines, blocks)
}
