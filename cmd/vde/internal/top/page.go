// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// A Page is what is seen of a model, and what keys have done to that. The zero Page is to
// be given a size.
type Page struct {
	Model

	// ASCII keeps from drawing anything else.
	ASCII bool

	width, height int
	now           time.Time // by the clock of the terminal
	heard         time.Time // when the last counters came, by the same clock
	gone          string    // why the switch does not answer; empty if it does

	view      view
	selection selection
	port      int // the selected one
	at        int // its row in the table
	first     int // the first row of the table that is seen
	line      int // the first line of the detail view that is seen

	prompt  *prompt // what is being typed; nil if nothing is
	message string
	failed  bool // what message is about

	events []string
	panel  panel
}

// A view is what the largest part of the page shows.
type view int

const (
	tableView view = iota
	detailView
	helpView
)

// A panel is how much of the page the events have.
type panel int

const (
	fewEvents panel = iota
	allEvents
	noEvents
	numPanels
)

// maxEvents is how many events are kept, and maxInput how long what is typed may be.
const (
	maxEvents = 500
	maxInput  = 200
)

// An ActionKind is something that is to be done outside the page.
type ActionKind int

// What is to be done.
const (
	Quit ActionKind = iota + 1
	Suspend
	Mirror
	Unmirror
	Disconnect
	Set
)

// An Action is what a key asks for.
type Action struct {
	Kind ActionKind
	Port int
	To   int    // Mirror, Unmirror: the other port
	Text string // Set: the settings
}

// A prompt is a question whose answer is being typed.
type prompt struct {
	question string
	text     string
	once     bool // one key is the answer
	changed  func(text string)
	done     func(text string) []Action
}

// Resize gives the page a size in cells.
func (p *Page) Resize(width, height int) {
	p.width, p.height = width, height
	p.settle()
}

// Tick tells the page the time.
func (p *Page) Tick(now time.Time) { p.now = now }

// Heard tells the page that counters have come, after Start or Grow.
func (p *Page) Heard(now time.Time) {
	p.now, p.heard, p.gone = now, now, ""
	p.settle()
}

// Described tells the page that Describe was called.
func (p *Page) Described() { p.settle() }

// Gone tells the page that the switch does not answer, and why.
func (p *Page) Gone(why string) { p.gone = why }

// AddEvents adds lines to those about events.
func (p *Page) AddEvents(lines ...string) {
	p.events = append(p.events, lines...)
	if n := len(p.events); n > maxEvents {
		p.events = append(p.events[:0:0], p.events[n-maxEvents:]...)
	}
}

// Say shows what has come of an action until the next key.
func (p *Page) Say(message string, failed bool) { p.message, p.failed = message, failed }

// selected returns the selected port, which may not exist any more, and its place in rows.
func (p *Page) selected(rows []*portRow) (r *portRow, at int) {
	for i, r := range rows {
		if r.Number == p.port {
			return r, i
		}
	}
	return nil, -1
}

// settle has a port of the table be selected, and seen.
func (p *Page) settle() {
	rows := p.rows(p.selection)
	_, at := p.selected(rows)
	if at < 0 && len(rows) > 0 && p.view != detailView {
		at = min(p.at, len(rows)-1)
		p.port = rows[at].Number
	}
	n := max(1, p.tableLines())
	if at >= 0 {
		p.at = at
		p.first = max(min(p.first, at), at-n+1)
	}
	p.first = max(0, min(p.first, len(rows)-n))
}

// Paste is what a terminal does with several characters at once: they are no keys.
func (p *Page) Paste(text string) {
	if p.prompt != nil && !p.prompt.once {
		p.prompt.add(text)
		p.settle()
	}
}

// Key does what a key is for, and returns what is to be done outside. The name is that of
// a special key, such as "pgup" or "ctrl+c", or what was typed.
func (p *Page) Key(key string) []Action {
	defer p.settle()
	p.message = ""
	switch {
	case key == "ctrl+c":
		return []Action{{Kind: Quit}}
	case key == "ctrl+z":
		return []Action{{Kind: Suspend}}
	case p.prompt != nil:
		return p.answer(key)
	case p.view == helpView:
		p.view = tableView
		if key == "q" {
			return []Action{{Kind: Quit}}
		}
		return nil
	}
	switch key {
	case "q":
		return []Action{{Kind: Quit}}
	case "?", "h", "f1":
		p.view = helpView
	case "e":
		p.panel = (p.panel + 1) % numPanels
	case "m", "d", "i":
		p.change(key)
	default:
		if p.view == detailView {
			p.detailKey(key)
		} else {
			p.tableKey(key)
		}
	}
	return nil
}

// tableKey does what a key is for in the table.
func (p *Page) tableKey(key string) {
	switch key {
	case "enter", "right", "l":
		if r, _ := p.selected(p.rows(p.selection)); r != nil {
			p.view, p.line = detailView, 0
		}
	case "s":
		p.selection.sort = (p.selection.sort + 1) % numSorts
	case "r":
		p.selection.reverse = !p.selection.reverse
	case "a":
		p.selection.all = !p.selection.all
	case "esc":
		p.selection.filter = ""
	case "/":
		before := p.selection.filter
		p.prompt = &prompt{
			question: "Only ports with: ", text: before,
			changed: func(text string) { p.selection.filter = text },
			done:    func(string) []Action { return nil },
		}
	default:
		p.move(p.steps(key))
	}
}

// steps returns how many lines a key moves down by.
func (p *Page) steps(key string) int {
	const far = 1 << 20
	switch key {
	case "up", "k":
		return -1
	case "down", "j":
		return 1
	case "pgup", "ctrl+b":
		return -max(1, p.tableLines()-1)
	case "pgdown", "ctrl+f", "space":
		return max(1, p.tableLines()-1)
	case "home", "g":
		return -far
	case "end", "G":
		return far
	}
	return 0
}

// move selects the port so many rows further down.
func (p *Page) move(steps int) {
	rows := p.rows(p.selection)
	if len(rows) == 0 || steps == 0 {
		return
	}
	_, at := p.selected(rows)
	p.port = rows[max(0, min(at+steps, len(rows)-1))].Number
}

// detailKey does what a key is for in the detail view.
func (p *Page) detailKey(key string) {
	switch key {
	case "enter", "esc", "backspace":
		p.view = tableView
	case "left", "p":
		p.move(-1)
		p.line = 0
	case "right", "n":
		p.move(1)
		p.line = 0
	default:
		p.line = max(0, min(p.line+p.steps(key), len(p.detail())-p.bodyLines()))
	}
}

// change asks for what is to be changed about the selected port.
func (p *Page) change(key string) {
	r, _ := p.selected(p.rows(p.selection))
	if p.view == detailView {
		r = p.ports[p.port]
	}
	switch {
	case p.Switch.ReadOnly:
		p.Say("This switch can only be looked at here: its API is read-only.", true)
		return
	case p.gone != "":
		p.Say("Nothing can be changed while the switch does not answer.", true)
		return
	case r == nil || !r.known:
		p.Say("No port is selected.", true)
		return
	}
	n := r.Number
	switch {
	case key == "m" && len(r.Mirrors) > 0:
		to := r.Mirrors
		p.ask(fmt.Sprintf("Stop mirroring port %d to %s? (y/n) ", n, numbers(to)), func() (actions []Action) {
			for _, t := range to {
				actions = append(actions, Action{Kind: Unmirror, Port: n, To: t})
			}
			return actions
		})
	case key == "m":
		p.prompt = &prompt{question: fmt.Sprintf("Mirror port %d to port: ", n), done: func(text string) []Action {
			to, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil || to < 0 {
				p.Say("Give the number of a port.", true)
				return nil
			}
			return []Action{{Kind: Mirror, Port: n, To: to}}
		}}
	case key == "d":
		p.ask(fmt.Sprintf("Disconnect port %d, %s? (y/n) ", n, r.Name), func() []Action { return []Action{{Kind: Disconnect, Port: n}} })
	default:
		p.prompt = &prompt{question: fmt.Sprintf("Set port %d to (as in delay=20ms,loss=0.01): ", n), done: func(text string) []Action {
			return []Action{{Kind: Set, Port: n, Text: strings.TrimSpace(text)}}
		}}
	}
}

// ask asks a question to which y is the answer that does something.
func (p *Page) ask(question string, yes func() []Action) {
	p.prompt = &prompt{question: question, once: true, done: func(text string) []Action {
		if text == "y" || text == "Y" {
			return yes()
		}
		return nil
	}}
}

// answer gives a key to the prompt.
func (p *Page) answer(key string) []Action {
	q := p.prompt
	switch {
	case q.once:
		p.prompt = nil
		return q.done(key)
	case key == "esc":
		p.prompt = nil
		if q.changed != nil {
			q.changed("")
		}
	case key == "enter":
		p.prompt = nil
		if q.text != "" {
			return q.done(q.text)
		}
	case key == "backspace":
		_, n := utf8.DecodeLastRuneInString(q.text)
		q.set(q.text[:len(q.text)-n])
	case key == "ctrl+u":
		q.set("")
	case key == "space":
		q.add(" ")
	case ansi.StringWidth(key) == 1 || utf8.RuneCountInString(key) == 1:
		q.add(key)
	}
	return nil
}

// add adds what can be printed of text.
func (q *prompt) add(text string) {
	for _, r := range text {
		if unicode.IsPrint(r) && r != utf8.RuneError && len(q.text) < maxInput {
			q.text += string(r)
		}
	}
	q.set(q.text)
}

func (q *prompt) set(text string) {
	if q.text = text; q.changed != nil {
		q.changed(text)
	}
}

// numbers returns ports as text.
func numbers(ports []int) string {
	var texts []string
	for _, n := range ports {
		texts = append(texts, strconv.Itoa(n))
	}
	return strings.Join(texts, ", ")
}
