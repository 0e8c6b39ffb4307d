// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/go-vde/sdk/api/switchv1"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// stats returns a message with the ports' counters and their sums.
func stats(at time.Time, ports ...*pb.PortStats) *pb.Stats {
	s := &pb.Stats{Time: timestamppb.New(at), In: &pb.InStats{Dropped: map[string]uint64{}}, Out: &pb.OutStats{Dropped: map[string]uint64{}}, Ports: ports}
	for _, p := range ports {
		s.In.Frames += p.GetIn().GetFrames()
		s.In.Bytes += p.GetIn().GetBytes()
		s.In.Forwarded += p.GetIn().GetForwarded()
		s.Out.Offered += p.GetOut().GetOffered()
		s.Out.Frames += p.GetOut().GetFrames()
		s.Out.Bytes += p.GetOut().GetBytes()
		s.Out.Queued += p.GetOut().GetQueued()
		for cause, n := range p.GetIn().GetDropped() {
			s.In.Dropped[cause] += n
		}
		for cause, n := range p.GetOut().GetDropped() {
			s.Out.Dropped[cause] += n
		}
	}
	return s
}

// port returns counters of a port that has had so many frames in and out.
func port(n int, in, out uint64) *pb.PortStats {
	return &pb.PortStats{
		Port: uint32(n), In: &pb.InStats{Frames: in, Bytes: 100 * in, Forwarded: in},
		Out: &pb.OutStats{Offered: out, Frames: out, Bytes: 100 * out},
	}
}

// TestAddUp gives a model random growth and checks that each counter is the sum of what
// came, and that of the switch the sum of those of its ports.
func TestAddUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() []*pb.PortStats {
		var list []*pb.PortStats
		for n := range 20 {
			if rng.IntN(3) == 0 {
				continue // it has not changed
			}
			p := port(n, rng.Uint64N(1000), rng.Uint64N(1000))
			p.In.Dropped = map[string]uint64{"vlan": rng.Uint64N(5)}
			p.Out.Dropped = map[string]uint64{"full": rng.Uint64N(5), fmt.Sprint(rng.IntN(3)): 1}
			list = append(list, p)
		}
		return list
	}
	var m Model
	want := make(map[int]*Counters)
	add := func(list []*pb.PortStats) {
		for _, p := range list {
			c := want[int(p.GetPort())]
			if c == nil {
				c = &Counters{InDropped: map[string]uint64{}, OutDropped: map[string]uint64{}}
				want[int(p.GetPort())] = c
			}
			c.N[InFrames] += p.GetIn().GetFrames()
			c.N[OutBytes] += p.GetOut().GetBytes()
			c.InDropped["vlan"] += p.GetIn().GetDropped()["vlan"]
			c.OutDropped["full"] += p.GetOut().GetDropped()["full"]
		}
	}
	list := random()
	add(list)
	m.Start(stats(epoch, list...))
	for i := range 100 {
		list := random()
		add(list)
		m.Grow(stats(epoch.Add(time.Duration(i)*time.Second), list...), time.Second)
	}
	var sum Counters
	for n, r := range m.ports {
		c := want[n]
		if r.Total.N[InFrames] != c.N[InFrames] || r.Total.N[OutBytes] != c.N[OutBytes] ||
			r.Total.InDropped["vlan"] != c.InDropped["vlan"] || r.Total.OutDropped["full"] != c.OutDropped["full"] {
			t.Errorf("port %d: %+v, want %+v", n, r.Total, c)
		}
		sum.add(&r.Total)
	}
	if len(m.ports) != len(want) || sum.N != m.Total.Total.N || sum.Dropped() != m.Total.Total.Dropped() || sum.Dropped() == 0 {
		t.Errorf("the ports together: %+v, the switch: %+v", sum, m.Total.Total)
	}
}

// TestRates checks that growth is divided by the time that it took.
func TestRates(t *testing.T) {
	var m Model
	first := port(1, 1000, 0)
	first.Out.Queued = 7
	m.Start(stats(epoch, first, port(2, 5, 5)))
	r := m.row(1)
	if r.Rate(InFrames) != 0 || r.DropRate() != 0 || m.Total.Rate(InFrames) != 0 {
		t.Error("rates without any growth")
	}
	growth := port(1, 300, 60)
	growth.In.Dropped, growth.Out.Dropped = map[string]uint64{"vlan": 3}, map[string]uint64{"full": 6}
	growth.Out.Queued = 4
	m.Grow(stats(epoch, growth), 3*time.Second)
	if r.Rate(InFrames) != 100 || r.Rate(InBytes) != 10000 || r.Rate(OutFrames) != 20 || r.DropRate() != 3 || r.Total.Queued != 4 {
		t.Errorf("in %v, %v bytes, out %v, drops %v, queued %d", r.Rate(InFrames), r.Rate(InBytes), r.Rate(OutFrames), r.DropRate(), r.Total.Queued)
	}
	if m.Total.Rate(InFrames) != 100 || m.Total.DropRate() != 3 || m.row(2).Rate(InFrames) != 0 {
		t.Errorf("the switch: %v, %v; port 2: %v", m.Total.Rate(InFrames), m.Total.DropRate(), m.row(2).Rate(InFrames))
	}
	m.Grow(stats(epoch), time.Second) // nothing
	if r.Rate(InFrames) != 0 || r.DropRate() != 0 || r.Total.N[InFrames] != 1300 || r.Total.Queued != 4 {
		t.Errorf("after a second without change: %v, %v, %+v", r.Rate(InFrames), r.DropRate(), r.Total)
	}
}

// TestHistory checks what the last minute is: a slot for each second, the oldest first,
// from nothing after a new start.
func TestHistory(t *testing.T) {
	var m Model
	m.Start(stats(epoch, port(1, 1<<40, 1<<40)))
	r := m.row(1)
	last := func(n int) []float64 { return m.both(&r.Series)[Seconds-n:] }
	m.Grow(stats(epoch, port(1, 1, 1)), time.Second)
	m.Grow(stats(epoch, port(1, 6, 0)), 3*time.Second)
	m.Grow(stats(epoch), 200*time.Millisecond)
	m.Grow(stats(epoch, port(1, 0, 5)), time.Second)
	if got, want := last(7), []float64{0, 200, 200, 200, 200, 0, 500}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for i := range 100 {
		m.Grow(stats(epoch, port(1, uint64(i), 0)), time.Second)
	}
	if h := last(Seconds); h[0] != 4000 || h[Seconds-1] != 9900 {
		t.Errorf("a minute later: %v", h)
	}
	m.Grow(stats(epoch, port(1, 3600, 0)), time.Hour)
	if h := last(Seconds); h[0] != 100 || h[Seconds-1] != 100 {
		t.Errorf("an hour later: %v", h)
	}
	m.Start(stats(epoch, port(1, 3, 0)))
	if h := last(Seconds); slices.Max(h) != 0 || r.Total.N[InFrames] != 3 {
		t.Errorf("after a new start: %v, %v", h, r.Total.N[InFrames])
	}
}

// testModel has five ports: 3 sends most, 4 gets most, 5 drops, 2 has the most addresses,
// and 1 has no endpoint.
func testModel() *Model {
	m := &Model{}
	m.Describe(Switch{
		Name: "lab", Started: epoch.Add(-3*time.Hour - 2*time.Minute), FDB: 12, Endpoints: 4, Active: 4, Ports: 32,
	}, []Port{
		{Number: 1, VLAN: "0"},
		{Number: 2, Name: "alpha (socket)", VLAN: "10", FDB: 9, Active: true, Mirrors: []int{7, 8}},
		{Number: 3, Name: "Beta (shared-memory)", VLAN: "10, tagged 20+30-39", FDB: 1, Active: true},
		{Number: 4, Name: "gamma (link, uplink, down)", VLAN: "none", FDB: 1, Active: true, Blocked: true, Down: true, Impaired: true},
		{Number: 5, Name: "東京 (socket)", VLAN: "0", FDB: 1, Active: true, Details: []string{"policy tail-drop, queue 512", "endpoint 9: 東京, socket"}},
	})
	m.Start(stats(epoch, port(2, 10, 20), port(3, 100, 200), port(5, 4, 4)))
	for i := range 40 {
		n := uint64(i * i)
		dropping := port(5, 10, 20*n)
		dropping.Out.Offered += 30
		dropping.Out.Dropped = map[string]uint64{"full": 30}
		dropping.Out.Queued = 17
		m.Grow(stats(epoch.Add(time.Duration(i)*time.Second), port(3, 1000*n, 2), port(4, 3, 1000*n), dropping), time.Second)
	}
	return m
}

func TestRows(t *testing.T) {
	m := testModel()
	for _, test := range []struct {
		s    selection
		want string
	}{
		{selection{}, "[2 3 4 5]"},
		{selection{all: true}, "[1 2 3 4 5]"},
		{selection{reverse: true}, "[5 4 3 2]"},
		{selection{sort: ByIn}, "[3 5 4 2]"},
		{selection{sort: ByIn, reverse: true}, "[2 4 5 3]"},
		{selection{sort: ByOut}, "[4 5 3 2]"},
		{selection{sort: ByDrops}, "[5 2 3 4]"},
		{selection{sort: ByQueue}, "[5 2 3 4]"},
		{selection{sort: ByFDB}, "[2 3 4 5]"},
		{selection{filter: "beta"}, "[3]"},
		{selection{filter: "MEMORY"}, "[3]"},
		{selection{filter: "5"}, "[5]"},
		{selection{filter: "tagged"}, "[3]"},
		{selection{filter: "blocked"}, "[4]"},
		{selection{filter: "mirr"}, "[2]"},
		{selection{filter: "東"}, "[5]"},
		{selection{filter: "nothing"}, "[]"},
		{selection{filter: "1"}, "[2 3]"}, // of VLAN 10
		{selection{filter: "1", all: true}, "[1 2 3]"},
	} {
		var got []int
		for _, r := range m.rows(test.s) {
			got = append(got, r.Number)
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%+v: %v, want %v", test.s, got, test.want)
		}
	}
	m.Describe(Switch{}, []Port{{Number: 3, Active: true}})
	if rows := m.rows(selection{all: true}); len(rows) != 1 || rows[0].Number != 3 || rows[0].Total.N[InFrames] == 0 {
		t.Errorf("%d ports after all but one have gone", len(rows))
	}
}

func TestFormat(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.25: "0.2", 3: "3", 9.94: "9.9", 9.96: "10", 42.4: "42", 999: "999", 999.6: "1.0k", 1234: "1.2k", 99949: "99.9k", 99960: "100k",
		999600: "1.0M", 1e9: "1.0G", 12.3e12: "12.3T", 1e21: "1.0Z", 1e24: "1000Z",
	} {
		if got := si(v); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Second: "0m00s", 61 * time.Second: "1m01s", 3*time.Hour + 2*time.Minute: "3h02m", 50 * time.Hour: "2d02h",
	} {
		if got := age(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for _, test := range []struct {
		text  string
		width int
		right bool
		want  string
	}{
		{"abc", 5, false, "abc  "}, {"abc", 5, true, "  abc"}, {"abcdef", 4, false, "abc~"}, {"東京都", 4, false, "東~ "}, {"x", 0, false, ""},
	} {
		if got := fit(test.text, test.width, test.right); got != test.want {
			t.Errorf("%q in %d cells: %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

func TestGraph(t *testing.T) {
	for _, test := range []struct {
		values        []float64
		width, height int
		want          []string
	}{
		{[]float64{0, 1, 4, 8}, 4, 1, []string{" ▁▄█"}},
		{[]float64{0, 0.001, 8}, 3, 1, []string{" ▁█"}},
		{[]float64{0, 0, 0}, 3, 1, []string{"   "}},
		{[]float64{1, 8, 0, 2}, 2, 1, []string{"█▂"}},
		{[]float64{4, 16, 10}, 3, 2, []string{" █▂", "▄██"}},
		{[]float64{1}, 0, 2, []string{"", ""}},
		{nil, 9, 1, []string{""}},
	} {
		if got := graph(test.values, test.width, test.height, blocks); !slices.Equal(got, test.want) {
			t.Errorf("%v in %d x %d: %q, want %q", test.values, test.width, test.height, got, test.want)
		}
	}
}
