// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/cmd/vde/internal/top"
)

func newTop() *cobra.Command {
	o := newControlOption()
	cmd := &cobra.Command{
		Use:   "top [NET]",
		Short: "Watch a running switch in the terminal, and change it",
		Long: `Shows a running switch as a page in the terminal: its ports with their rates, the last
minute of each, queues and drops, and what happens. Keys sort and filter the table, show all
counters of a port, mirror it, disconnect it, and change its settings; ? shows them all. If
the switch goes away, the page says so and waits for it to come back.

It needs a terminal. vde stats --watch and vde stats --json are for anything else.`,
		Example: "  vde top /run/lab.ctl",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !isTerminal(cmd.OutOrStdout()) {
				return errors.New("vde top needs a terminal to write to; use vde stats --watch, or vde stats --json for programs")
			}
			if err := checkTerminal(os.Getenv); err != nil {
				return err
			}
			dial := func(ctx context.Context) (*api.Client, error) { return o.dial(ctx, args) }
			return runTop(cmd.Context(), dial, terminalOptions(os.Getenv)...)
		},
	}
	o.register(cmd)
	return cmd
}

// checkTerminal returns an error if the terminal that the environment names cannot move
// its cursor.
func checkTerminal(getenv func(string) string) error {
	name := getenv("TERM")
	if name == "dumb" || name == "" && runtime.GOOS != "windows" {
		return errors.New("vde top needs a terminal that can move its cursor, and TERM is " + cmp.Or(name, "not set") + "; use vde stats --watch, or vde stats --json for programs")
	}
	return nil
}

// A topOption is a setting of the page.
type topOption func(*topProgram) []tea.ProgramOption

// terminalOptions returns what the environment says of the terminal.
func terminalOptions(getenv func(string) string) []topOption {
	return []topOption{func(p *topProgram) []tea.ProgramOption {
		p.page.ASCII = !hasBlocks(getenv)
		if getenv("NO_COLOR") != "" {
			return []tea.ProgramOption{tea.WithColorProfile(colorprofile.ASCII)}
		}
		return nil
	}}
}

// hasBlocks reports whether the terminal shows block elements: its text is UTF-8, and it
// is not the Linux console, whose fonts have few of them.
func hasBlocks(getenv func(string) string) bool {
	if runtime.GOOS == "windows" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return getenv("TERM") != "linux" && (strings.Contains(v, "utf-8") || strings.Contains(v, "utf8"))
		}
	}
	return false
}

// runTop shows the switch that dial connects to until it is told to stop.
func runTop(ctx context.Context, dial func(context.Context) (*api.Client, error), options ...topOption) error {
	first, err := dial(ctx)
	if err != nil {
		return err
	}
	model := &topProgram{times: usualTopTimes, drawn: func(string) {}}
	teaOptions := []tea.ProgramOption{tea.WithoutSignalHandler(), tea.WithFPS(20)}
	for _, o := range options {
		teaOptions = append(teaOptions, o(model)...)
	}
	program := tea.NewProgram(model, teaOptions...)
	feedCtx, cancel := context.WithCancel(ctx)
	feed := newTopFeed(feedCtx, dial, program.Send, model.times)
	model.act = feed.act
	feed.start(first)
	stop := context.AfterFunc(ctx, program.Quit)
	_, err = program.Run()
	stop()
	cancel()
	feed.wait()
	return err
}

// A topProgram is the page as bubbletea runs it.
type topProgram struct {
	page  top.Page
	times topTimes
	act   func(top.Action)
	drawn func(text string) // gets what is drawn, for tests
}

// Messages to a topProgram.
type (
	clockMsg time.Time // the time, once a second
	eventMsg []string  // lines about events
	goneMsg  string    // why the switch does not answer
	saidMsg  struct {  // what has come of an action
		text   string
		failed bool
	}
)

// Init implements [tea.Model].
func (m *topProgram) Init() tea.Cmd { return nil }

// View implements [tea.Model].
func (m *topProgram) View() tea.View {
	text := m.page.Draw()
	m.drawn(text)
	v := tea.NewView(text)
	v.AltScreen = true
	return v
}

// Update implements [tea.Model].
func (m *topProgram) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.page.Resize(msg.Width, msg.Height)
	case tea.PasteMsg:
		m.page.Paste(msg.Content)
	case tea.KeyPressMsg:
		return m, m.do(m.page.Key(msg.String()))
	case clockMsg:
		m.page.Tick(time.Time(msg))
	case statsMsg:
		if e := msg.GetElapsed(); e == nil {
			m.page.Start(msg.GetStats())
		} else {
			m.page.Grow(msg.GetStats(), e.AsDuration())
		}
		m.page.Heard(time.Now())
	case describedMsg:
		m.page.Describe(msg.about, msg.ports)
		m.page.Described()
	case eventMsg:
		m.page.AddEvents(msg...)
	case goneMsg:
		m.page.Gone(string(msg))
	case saidMsg:
		m.page.Say(msg.text, msg.failed)
	}
	return m, nil
}

// do does what a key asked for.
func (m *topProgram) do(actions []top.Action) tea.Cmd {
	for _, a := range actions {
		switch a.Kind {
		case top.Quit:
			return tea.Quit
		case top.Suspend:
			return tea.Suspend
		default:
			m.act(a)
		}
	}
	return nil
}
