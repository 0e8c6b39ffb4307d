// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/go-vde/sdk/api/switchv1"
)

var update = flag.Bool("update", false, "write what is drawn to testdata")

// TestDraw compares pages with those of testdata.
func TestDraw(t *testing.T) {
	for _, test := range []struct {
		name          string
		width, height int
		keys          string
		prepare       func(*Page)
	}{
		{"table-80x24", 80, 24, "s", nil},
		{"table-140x24", 140, 24, "s s", nil},
		{"table-40x12", 40, 12, "", nil},
		{"ascii-80x24", 80, 24, "j", func(p *Page) { p.ASCII = true }},
		{"detail-80x40", 80, 40, "G enter", nil},
		{"detail-40x24", 40, 24, "j enter pgdown", nil},
		{"states-100x30", 100, 30, "j j enter e e", nil},
		{"help-80x24", 80, 24, "?", nil},
		{"events-80x24", 80, 24, "e", nil},
		{"filter-60x12", 60, 12, "/ s o c", nil},
		{"filtered-60x12", 60, 12, "/ x enter", nil},
		{"gone-80x10", 80, 10, "", func(p *Page) { p.Gone("connection refused") }},
		{"read-only-80x10", 80, 10, "d", func(p *Page) { p.Switch.ReadOnly, p.Switch.Hub = true, true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := testPage(test.width, test.height)
			if test.prepare != nil {
				test.prepare(p)
			}
			press(p, strings.Fields(test.keys)...)
			got := ansi.Strip(p.Draw()) + "\n"
			file := filepath.Join("testdata", test.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(file); err != nil || got != string(want) {
				t.Errorf("%v; with -update this becomes the right one:\n%s", err, got)
			}
		})
	}
}

// TestPicture checks that the picture in docs/api.md is what is drawn.
func TestPicture(t *testing.T) {
	p := &Page{}
	p.Resize(110, 11)
	p.Describe(Switch{Name: "/tmp/lab.ctl", Started: epoch.Add(-42 * time.Minute), FDB: 6, Endpoints: 4, Active: 4, Ports: 4096}, []Port{
		{Number: 1, Name: "vm1 (socket)", VLAN: "10", FDB: 1, Active: true, Mirrors: []int{64}},
		{Number: 2, Name: "vm2 (shared-memory)", VLAN: "10", FDB: 1, Active: true},
		{Number: 3, Name: "tap://lan0 (link, uplink)", VLAN: "10", FDB: 4, Active: true},
		{Number: 64, Name: "vde capture (shared-memory)", VLAN: "none", Active: true},
	})
	p.Start(stats(epoch))
	for i := range Seconds {
		n := uint64(9000 + 4000*math.Sin(float64(i)/6))
		one, two, three, copies := port(1, n, n/2), port(2, n/2, n), port(3, 3, uint64(i%7)), port(64, 0, n)
		copies.Out.Queued = 61
		copies.Out.Dropped = map[string]uint64{"full": n / 2}
		p.Grow(stats(epoch, one, two, three, copies), time.Second)
	}
	p.Heard(epoch)
	p.AddEvents("14:02:11.208 mirrored    port 1 (other port 64)", "14:02:12.001 dropped     port 64 4123 out/full")
	p.Key("s")
	picture := regexp.MustCompile(`(?m) +$`).ReplaceAllString(ansi.Strip(p.Draw()), "")
	doc, err := os.ReadFile("../../../../docs/api.md")
	if err != nil || !strings.Contains(string(doc), picture) {
		t.Errorf("%v; docs/api.md should have\n%s", err, picture)
	}
}

// TestSizes draws all views in windows of all sizes: nothing is longer or wider.
func TestSizes(t *testing.T) {
	for _, keys := range []string{"", "e", "e e", "enter", "j j enter", "?", "/ 東 京", "i x", "d", "/ x enter"} {
		p := testPage(80, 24)
		press(p, strings.Fields(keys)...)
		for width := 0; width < 160; width += 1 + width/4 {
			for _, height := range []int{0, 1, 2, 3, 4, 7, 12, 24, 50} {
				p.Resize(width, height)
				lines := strings.Split(p.Draw(), "\n")
				if height > 0 && len(lines) != height || height == 0 && lines[0] != "" {
					t.Fatalf("%q in %d x %d: %d lines", keys, width, height, len(lines))
				}
				for _, line := range lines {
					if w := ansi.StringWidth(line); w > width {
						t.Fatalf("%q in %d x %d: %q has %d cells", keys, width, height, line, w)
					}
				}
			}
		}
	}
}

// TestAllCounters checks that the detail view has every counter that the API has.
func TestAllCounters(t *testing.T) {
	in, out := &pb.InStats{}, &pb.OutStats{}
	want := make(map[string]string) // names by values
	for _, m := range []protoreflect.Message{in.ProtoReflect(), out.ProtoReflect()} {
		fields := m.Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			value := uint64(70000 + len(want))
			want[strconv.FormatUint(value, 10)] = string(f.FullName())
			if f.IsMap() {
				m.Mutable(f).Map().Set(protoreflect.ValueOfString("vlan").MapKey(), protoreflect.ValueOfUint64(value))
			} else {
				m.Set(f, protoreflect.ValueOfUint64(value))
			}
		}
	}
	p := &Page{}
	p.Resize(100, 60)
	p.Describe(Switch{}, []Port{{Number: 1, Active: true}})
	p.Start(&pb.Stats{Ports: []*pb.PortStats{{Port: 1, In: in, Out: out}}})
	p.Described()
	press(p, "enter")
	drawn := p.Draw()
	for value, name := range want {
		if !strings.Contains(drawn, value) {
			t.Errorf("%s is not shown", name)
		}
	}
}

// TestPortsNotTold checks that the page says of which ports it does not know the rates, and
// of which not all counters: of those that did not fit an answer of the API.
func TestPortsNotTold(t *testing.T) {
	p := testPage(140, 24)
	check := func(when string, rates, totals bool) {
		t.Helper()
		drawn := ansi.Strip(p.Draw())
		if strings.Contains(drawn, "no rates from port 4 on") == rates {
			t.Errorf("%s: the first line should say it: %v", when, !rates)
		}
		for line := range strings.Lines(drawn) {
			told := !strings.Contains(line, " ? ")
			switch {
			case strings.Contains(line, "(shared-memory)") && !told: // port 3
				t.Errorf("%s: %q", when, line)
			case strings.Contains(line, "gamma"), strings.Contains(line, "(socket)") && strings.Contains(line, "東京"):
				if told != rates {
					t.Errorf("%s: %q", when, line)
				}
			}
		}
		press(p, "G", "enter") // port 5
		if strings.Contains(p.Draw(), "not all frames are counted here") == totals {
			t.Errorf("%s: whether all are counted should be %v:\n%s", when, totals, p.Draw())
		}
		press(p, "esc")
	}
	check("at first", true, true)
	some := stats(epoch, port(3, 10, 10))
	some.NextPort = 4
	p.Grow(some, time.Second)
	check("too many", false, false)
	p.Grow(stats(epoch, port(3, 10, 10)), time.Second)
	check("then not", true, false)
	p.Start(some)
	check("too many at the start", true, false)
	p.Start(stats(epoch, port(3, 10, 10)))
	check("after another start", true, true)
}

// TestStyles checks that the selected port is marked, and what is wrong is in red.
func TestStyles(t *testing.T) {
	p := testPage(80, 24)
	for line := range strings.Lines(p.Draw()) {
		want := ""
		switch text := ansi.Strip(line); {
		case strings.Contains(text, "alpha") && !strings.Contains(text, "attached"):
			want = "\x1b[7m"
		case strings.Contains(text, "gamma"), strings.Contains(text, "東京"):
			want = "\x1b[31m"
		}
		if !strings.HasPrefix(line, want) {
			t.Errorf("%q, want %q before it", line, want)
		}
	}
}

// manyPorts returns a page of n ports that all send.
func manyPorts(n int) (p *Page, tick func()) {
	p = &Page{}
	p.Resize(120, 50)
	var ports []Port
	growth := stats(epoch)
	for i := range n {
		ports = append(ports, Port{Number: i, Name: fmt.Sprintf("station %d (shared-memory)", i), VLAN: "0", Active: true})
		growth.Ports = append(growth.Ports, port(i, uint64(i), uint64(i*7919%1000)))
	}
	p.Describe(Switch{}, ports)
	p.Start(stats(epoch))
	return p, func() {
		p.Grow(growth, 1e9)
		p.Heard(epoch)
	}
}

// TestManyPorts checks that what is not seen is not drawn either.
func TestManyPorts(t *testing.T) {
	few, tick := manyPorts(50)
	tick()
	many, tick := manyPorts(1000)
	tick()
	draws := func(p *Page) float64 { return testing.AllocsPerRun(3, func() { p.Draw() }) }
	if a, b := draws(few), draws(many); b > 2*a {
		t.Errorf("%v allocations to draw 50 ports, and %v for 1000", a, b)
	}
}

// BenchmarkPorts takes the counters of a second and draws the page.
func BenchmarkPorts(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("ports=%d", n), func(b *testing.B) {
			p, tick := manyPorts(n)
			press(p, "s")
			for b.Loop() {
				tick()
				p.Draw()
			}
		})
	}
}
