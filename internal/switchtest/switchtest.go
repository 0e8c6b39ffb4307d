// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"cmp"
	"io/fs"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
)

// A Config describes the switch that a test needs. With the zero value, any switch will do.
type Config struct {
	Ports   int         // number of ports; 0: at least 32
	Hub     bool        // every frame to every port, no learning; always the same as Options.Hub
	Mode    fs.FileMode // of the control and data sockets; 0: for its own user only
	DirMode fs.FileMode // of the control directory; 0: as follows from Mode

	// Dir is the control directory, which does not exist yet; empty: one of the switch's choice. See
	// Options.FixedDir.
	Dir string

	// User is who runs the switch; nil: the user of the test. See Options.FixedUser.
	User *testpeers.Credential
}

// A Start starts a switch that runs until the test ends, and returns when it accepts connections.
type Start func(t testing.TB, cfg Config) Switch

// Options describes how a switch differs from the strictest one, which is the zero value.
type Options struct {
	// Hub says that every frame goes to all ports but its own.
	Hub bool

	// Lossy says that the switch drops frames for a port whose queue is full. Frames sent so slowly that no queue
	// becomes full must arrive.
	Lossy bool

	// MaxFrame is the longest frame that goes through whole, header included (default [frame.DefaultMaxSize]).
	MaxFrame int

	// Cuts says that longer frames arrive cut to MaxFrame. Otherwise they must not arrive.
	Cuts bool

	// Concurrent says that the switch forwards frames of different stations at the same time, so that a test cannot
	// tell whether a frame that the switch has taken has been forwarded. What the conformance suite promises about
	// frames sent before a hangup is then not tested.
	Concurrent bool

	// NoPorts says that port numbers are ignored, and that there is always a free port.
	NoPorts bool

	// GroupSources says that frames whose source is a group address are forwarded. No station has such an address.
	GroupSources bool

	// Sockets says that frames go through sockets, whatever else the switch offers.
	Sockets bool

	// FixedDir says that Config.Dir is ignored, FixedUser that Config.User and Config.DirMode are.
	FixedDir, FixedUser bool
}

// A suite holds the arguments of [Run].
type suite struct {
	Options
	start Start
}

// Run tests package vde on switches that start makes.
func Run(t *testing.T, start Start, opts Options) {
	testpeers.Need(t, "linux")
	opts.MaxFrame = cmp.Or(opts.MaxFrame, frame.DefaultMaxSize)
	s := &suite{Options: opts, start: start}
	s.logMissing(t)
	for _, tt := range []struct {
		name string
		run  func(s *suite, t *testing.T)
	}{
		{"Conformance", (*suite).testConformance},
		{"FromC", (*suite).testFromC},
		{"ToC", (*suite).testToC},
		{"PingPong", (*suite).testPingPong},
		{"WindowedEcho", (*suite).testWindowedEcho},
		{"GoBetweenC", (*suite).testGoBetweenC},
		{"FloodToC", (*suite).testFloodToC},
		{"FloodFromC", (*suite).testFloodFromC},
		{"VdePlug", (*suite).testVdePlug},
		{"LongFrames", (*suite).testLongFrames},
		{"Kernel", (*suite).testKernel},
		{"Forwarding", (*suite).testForwarding},
		{"Ports", (*suite).testPorts},
		{"Description", (*suite).testDescription},
		{"PortRefused", (*suite).testPortRefused},
		{"SwitchFull", (*suite).testSwitchFull},
		{"PortOfAnotherUser", (*suite).testPortOfAnotherUser},
		{"Kill", (*suite).testKill},
		{"Stop", (*suite).testStop},
		{"Pause", (*suite).testPause},
		{"OpenPaused", (*suite).testOpenPaused},
		{"SocketMode", (*suite).testSocketMode},
		{"SwitchOfAnotherUser", (*suite).testSwitchOfAnotherUser},
		{"Restart", (*suite).testRestart},
		{"Cycles", (*suite).testCycles},
		{"Unprivileged", (*suite).testUnprivileged},
		{"PathLengths", (*suite).testPathLengths},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			tt.run(s, t)
		})
	}
}

// logMissing starts a switch and logs which optional methods and features it lacks.
func (s *suite) logMissing(t *testing.T) {
	t.Run("Offers", func(t *testing.T) {
		h := s.start(t, Config{Hub: s.Hub})
		_, kill := h.(Killer)
		_, pause := h.(Pauser)
		_, restart := h.(Restarter)
		_, ports := h.(PortLister)
		for _, c := range []struct {
			what    string
			offered bool
		}{
			{"Kill", kill}, {"Pause", pause}, {"Restart", restart}, {"Ports", ports},
			{"port numbers", !s.NoPorts}, {"learning", !s.Hub}, {"a directory of the test's choice", !s.FixedDir},
			{"a user of the test's choice", !s.FixedUser},
		} {
			if !c.offered {
				t.Logf("not offered, so not tested: %s", c.what)
			}
		}
	})
}
