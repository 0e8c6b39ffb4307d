// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "github.com/go-vde/sdk/api/switchv1"
)

// A Switch is what the page says of the switch as a whole. Its texts are drawn as they are.
type Switch struct {
	Name           string
	Started        time.Time
	FDB, Endpoints int
	Active         int // ports with an endpoint
	Ports          int // the highest port number
	Hub, ReadOnly  bool
}

// A Port is what the page says of a port besides its counters. Its texts are drawn as they
// are.
type Port struct {
	Number                  int
	Name                    string // what is attached
	VLAN                    string
	FDB                     int
	Active                  bool // it has an endpoint
	Blocked, Down, Impaired bool
	Mirrors                 []int    // the ports that it is copied to
	Details                 []string // further lines about it
}

// marks returns a letter for each state of the port that somebody should know of.
func (p *Port) marks() string {
	var b strings.Builder
	for _, m := range []struct {
		on     bool
		letter byte
	}{{p.Blocked, 'B'}, {p.Down, 'D'}, {len(p.Mirrors) > 0, 'M'}, {p.Impaired, 'I'}} {
		if m.on {
			b.WriteByte(m.letter)
		}
	}
	return b.String()
}

// A Model is a running switch as far as it is known. The zero Model knows nothing.
type Model struct {
	Switch Switch
	Time   time.Time // of the last counters
	Total  Series    // of all ports

	ports map[int]*portRow
	slot  int // of the history that has the last rates

	// The API tells the counters of a number of ports at a time. From these ports on,
	// those of the last interval are not known, and some of those since the start of
	// the switch; 0 if all are.
	noRates, noTotals int
}

// hasRates reports whether the counters of the last interval are known of a port.
func (m *Model) hasRates(port int) bool { return m.noRates == 0 || port < m.noRates }

// hasTotals reports whether the counters since the start of the switch are known of a port.
func (m *Model) hasTotals(port int) bool { return m.noTotals == 0 || port < m.noTotals }

// A portRow is a port with its counters. One of both may have come and the other not yet.
type portRow struct {
	Port
	Series
	known bool // Port has come
}

// row returns what is known of a port.
func (m *Model) row(number int) *portRow {
	r := m.ports[number]
	if r == nil {
		if m.ports == nil {
			m.ports = make(map[int]*portRow)
		}
		r = &portRow{Port: Port{Number: number}}
		m.ports[number] = r
	}
	return r
}

// Describe takes what is known of the switch and of its ports in the place of what was.
func (m *Model) Describe(s Switch, ports []Port) {
	m.Switch = s
	for _, r := range m.ports {
		r.Port, r.known = Port{Number: r.Number}, false
	}
	for _, p := range ports {
		r := m.row(p.Number)
		r.Port, r.known = p, true
	}
}

// Start takes counters since the start of the switch in the place of those that were, and
// begins the history again.
func (m *Model) Start(s *pb.Stats) {
	for _, r := range m.ports {
		r.start(Counters{})
	}
	m.slot = 0
	m.noRates, m.noTotals = 0, int(s.GetNextPort())
	m.Time = s.GetTime().AsTime()
	m.Total.start(CountersOf(s.GetIn(), s.GetOut()))
	for _, p := range s.GetPorts() {
		m.row(int(p.GetPort())).start(CountersOf(p.GetIn(), p.GetOut()))
	}
}

// Grow adds what the counters have grown by in the time elapsed. Ports that are not in s
// have not changed.
func (m *Model) Grow(s *pb.Stats, elapsed time.Duration) {
	m.Time = s.GetTime().AsTime()
	seconds := elapsed.Seconds()
	m.noRates = int(s.GetNextPort())
	if m.noRates > 0 && m.hasTotals(m.noRates) {
		m.noTotals = m.noRates
	}
	total := CountersOf(s.GetIn(), s.GetOut())
	m.Total.grow(&total, seconds)
	for _, r := range m.ports {
		r.grow(nil, seconds)
	}
	for _, p := range s.GetPorts() {
		growth := CountersOf(p.GetIn(), p.GetOut())
		m.row(int(p.GetPort())).grow(&growth, seconds)
	}
	// A time that was longer fills several slots.
	for range min(max(1, int(math.Round(seconds))), Seconds) {
		m.slot = (m.slot + 1) % Seconds
		m.Total.record(m.slot)
		for _, r := range m.ports {
			r.record(m.slot)
		}
	}
}

// history returns what slots hold, the oldest first.
func (m *Model) history(slots *[Seconds]float64) []float64 {
	return append(slices.Clone(slots[m.slot+1:]), slots[:m.slot+1]...)
}

// both returns the sum of in and out for each second of the last minute.
func (m *Model) both(s *Series) []float64 {
	in, out := m.history(&s.in), m.history(&s.out)
	for i := range in {
		in[i] += out[i]
	}
	return in
}

// A Sort is what the table of ports is sorted by.
type Sort int

// What to sort by, in the order in which a key goes through it.
const (
	ByNumber Sort = iota
	ByIn
	ByOut
	ByDrops
	ByQueue
	ByFDB
	numSorts
)

// compare orders two ports by s: numbers from the lowest on, anything else from the
// greatest on, and where that is equal by number.
func (s Sort) compare(a, b *portRow) int {
	var c int
	switch s {
	case ByIn:
		c = cmp.Compare(b.Rate(InBytes), a.Rate(InBytes))
	case ByOut:
		c = cmp.Compare(b.Rate(OutBytes), a.Rate(OutBytes))
	case ByDrops:
		c = cmp.Compare(b.DropRate(), a.DropRate())
	case ByQueue:
		c = cmp.Compare(b.Total.Queued, a.Total.Queued)
	case ByFDB:
		c = cmp.Compare(b.FDB, a.FDB)
	}
	return c
}

// A selection says which ports the table has and in which order.
type selection struct {
	sort    Sort
	reverse bool
	all     bool   // also ports that have no endpoint
	filter  string // only ports with this text
}

// rows returns the ports of the table.
func (m *Model) rows(s selection) []*portRow {
	filter := strings.ToLower(s.filter)
	rows := make([]*portRow, 0, len(m.ports))
	for _, r := range m.ports {
		if r.known && (s.all || r.Active) && r.has(filter) {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *portRow) int {
		c := s.sort.compare(a, b)
		if s.reverse {
			c = -c
		}
		if c == 0 {
			c = cmp.Compare(a.Number, b.Number)
			if s.reverse && s.sort == ByNumber {
				c = -c
			}
		}
		return c
	})
	return rows
}

// has reports whether the port has a text in lower case in what the table says of it.
func (r *portRow) has(text string) bool {
	if text == "" || strconv.Itoa(r.Number) == text {
		return true
	}
	if strings.Contains(strings.ToLower(r.Name), text) || strings.Contains(strings.ToLower(r.VLAN), text) {
		return true
	}
	for _, s := range []struct {
		on   bool
		word string
	}{{r.Blocked, "blocked"}, {r.Down, "down"}, {len(r.Mirrors) > 0, "mirrored"}, {r.Impaired, "impaired"}} {
		if s.on && strings.HasPrefix(s.word, text) {
			return true
		}
	}
	return false
}
