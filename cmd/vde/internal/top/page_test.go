// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
)

// testPage shows testModel.
func testPage(width, height int) *Page {
	p := &Page{Model: *testModel()}
	p.Resize(width, height)
	p.Heard(epoch)
	p.AddEvents("03:04:05.000 attached     port 2 endpoint 1, socket, alpha", "03:04:06.000 lost         12")
	return p
}

// press gives keys to a page and returns what they ask for.
func press(p *Page, keys ...string) (actions []Action) {
	for _, k := range keys {
		actions = append(actions, p.Key(k)...)
	}
	return actions
}

func TestActions(t *testing.T) {
	for _, test := range []struct {
		keys string
		want string // the actions
		last string // in the last line
	}{
		{"q", "[{1 0 0 }]", ""},
		{"ctrl+c", "[{1 0 0 }]", ""},
		{"/ ctrl+c", "[{1 0 0 }]", ""},
		{"ctrl+z", "[{2 0 0 }]", ""},
		{"? q", "[{1 0 0 }]", ""},
		{"enter q", "[{1 0 0 }]", ""},
		{"j m", "[]", "Mirror port 3 to port: "},
		{"j m 1 2 enter", "[{3 3 12 }]", ""},
		{"j m 1 2 backspace 7 enter", "[{3 3 17 }]", ""},
		{"j m x enter", "[]", "Give the number"},
		{"j m - 1 enter", "[]", "Give the number"},
		{"j m 1 esc", "[]", "help"},
		{"j m enter", "[]", "help"},
		{"m", "[]", "Stop mirroring port 2 to 7, 8? (y/n)"},
		{"m y", "[{4 2 7 } {4 2 8 }]", ""},
		{"m n", "[]", "help"},
		{"d y", "[{5 2 0 }]", ""},
		{"d enter", "[]", "help"},
		{"d", "[]", "Disconnect port 2, alpha (socket)? (y/n)"},
		{"G d Y", "[{5 5 0 }]", ""},
		{"i d e l a y = 2 space enter", "[{6 2 0 delay=2}]", ""},
		{"i a ctrl+u b c enter", "[{6 2 0 bc}]", ""},
		{"i 東 backspace x enter", "[{6 2 0 x}]", ""},
		{"i f5 up x enter", "[{6 2 0 x}]", ""},
		{"enter d y", "[{5 2 0 }]", ""},
		{"enter n d y", "[{5 3 0 }]", ""},
		{"enter n n p d y", "[{5 3 0 }]", ""},
		{"s d y", "[{5 2 0 }]", ""},           // the selected port stays selected
		{"s g d y", "[{5 3 0 }]", ""},         // the first one by rate in
		{"s s r g d y", "[{5 2 0 }]", ""},     // the one that gets least
		{"/ b e t a d y enter d y", "[]", ""}, // no port has betady
		{"/ b e t a enter d y", "[{5 3 0 }]", ""},
		{"/ b e t a enter esc g d y", "[{5 2 0 }]", ""},
		{"a g d y", "[{5 1 0 }]", ""},
		{"pgdown d y", "[{5 5 0 }]", ""},
		{"end pgup d y", "[{5 2 0 }]", ""},
		{"up up down down down d y", "[{5 5 0 }]", ""},
	} {
		p := testPage(200, 24)
		if got := fmt.Sprint(press(p, strings.Fields(test.keys)...)); got != test.want {
			t.Errorf("%s: %s, want %s", test.keys, got, test.want)
		}
		lines := strings.Split(ansi.Strip(p.Draw()), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, test.last) {
			t.Errorf("%s: the last line is %q, want %q in it", test.keys, last, test.last)
		}
	}
}

// TestNoChange checks when the page asks for no change, and says why.
func TestNoChange(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*Page)
		want    string
	}{
		"read-only": {func(p *Page) { p.Switch.ReadOnly = true }, "read-only"},
		"gone":      {func(p *Page) { p.Gone("connection refused") }, "does not answer"},
		"no port":   {func(p *Page) { p.Describe(Switch{}, nil); p.Described() }, "No port is selected"},
	} {
		for _, key := range []string{"m", "d", "i"} {
			p := testPage(80, 24)
			test.prepare(p)
			if actions := press(p, key, "y", "enter"); len(actions) != 0 {
				t.Errorf("%s, %s: %v", name, key, actions)
			}
			p.prompt = nil
			press(p, key)
			if text := ansi.Strip(p.Draw()); !strings.Contains(text, test.want) {
				t.Errorf("%s, %s: no %q in\n%s", name, key, test.want, text)
			}
		}
	}
}

// TestPaste checks that what is pasted is text, and never the answer to a question.
func TestPaste(t *testing.T) {
	p := testPage(80, 24)
	p.Paste("q")
	press(p, "d")
	p.Paste("y")
	if a := press(p, "n"); len(a) != 0 {
		t.Errorf("%v", a)
	}
	press(p, "i")
	p.Paste("loss=0.01\n\x1b[2Jq" + strings.Repeat("x", 1000))
	if a := press(p, "enter"); len(a) != 1 || !strings.HasPrefix(a[0].Text, "loss=0.01[2Jqx") || len(a[0].Text) != maxInput {
		t.Errorf("%v", a)
	}
}

// TestSelection checks that the selected port stays in sight, and that another one gets
// selected when it goes.
func TestSelection(t *testing.T) {
	var ports []Port
	for n := range 100 {
		ports = append(ports, Port{Number: n, Name: fmt.Sprintf("name%d.", n), Active: true})
	}
	p := &Page{}
	p.Resize(80, 24)
	p.Describe(Switch{}, ports)
	p.Described()
	seen := func(n int) bool { return strings.Contains(p.Draw(), fmt.Sprintf("name%d.", n)) }
	if !seen(0) || seen(99) {
		t.Error("the first page")
	}
	for i := 1; i < 60; i++ {
		if press(p, "down"); p.port != i || !seen(i) {
			t.Fatalf("port %d is selected after %d lines down", p.port, i)
		}
	}
	p.Describe(Switch{}, append(append([]Port(nil), ports[:59]...), ports[60:]...))
	if p.Described(); p.port != 60 || !seen(60) {
		t.Errorf("port %d is selected after 59 has gone", p.port)
	}
	press(p, "end")
	p.Resize(80, 10)
	if p.port != 99 || !seen(99) {
		t.Errorf("port %d is selected in a small window", p.port)
	}
	p.Describe(Switch{}, ports[:3])
	if p.Described(); p.port != 2 || !seen(0) || !seen(2) {
		t.Errorf("port %d is selected of three", p.port)
	}
	press(p, "enter")
	p.Describe(Switch{}, ports[:2])
	if p.Described(); !strings.Contains(p.Draw(), "port 2") || !strings.Contains(p.Draw(), "does not exist") {
		t.Errorf("the details of a port that has gone:\n%s", p.Draw())
	}
}

// TestSilence checks what the second line says when nothing comes.
func TestSilence(t *testing.T) {
	second := func(p *Page) string { return strings.Split(ansi.Strip(p.Draw()), "\n")[1] }
	p := &Page{}
	p.Resize(80, 24)
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, "Waiting"},
		{func() { p.Heard(epoch) }, "in 0 frames/s"},
		{func() { p.Tick(epoch.Add(3 * time.Second)) }, "in 0 frames/s"},
		{func() { p.Tick(epoch.Add(65 * time.Second)) }, "No counters have come for 1m05s."},
		{func() { p.Gone("connection refused") }, "No answer from the switch, trying again: connection refused"},
		{func() { p.Heard(epoch.Add(70 * time.Second)) }, "in 0 frames/s"},
	} {
		step.do()
		if got := second(p); !strings.Contains(got, step.want) {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}
