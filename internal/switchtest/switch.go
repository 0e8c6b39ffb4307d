// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"context"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
)

// A Switch is a running switch of any make: a directory that answers the VDE control protocol, and a way to
// end it. A Switch may offer more; the tests ask for [Killer], [Pauser], [Restarter] and [PortLister] by type
// assertion and leave out what is not offered.
type Switch interface {
	// Dir returns the control directory: the socket to connect is Dir()/ctl, and the path alone is a locator.
	Dir() string

	// Stop ends the switch cleanly and returns when it has released its sockets and their names.
	// Stopping twice is allowed.
	Stop()
}

// A Killer is a Switch that can die without cleaning up, leaving the names of its sockets behind.
type Killer interface {
	// Kill returns when the switch is dead.
	Kill()
}

// A Pauser is a Switch that can stop running with its sockets open.
type Pauser interface {
	// Pause returns when the switch has stopped running.
	Pause()

	// Resume lets it run again.
	Resume()
}

// A Restarter is a Switch that can be started again in the same directory, after Stop, Kill, or while it runs.
type Restarter interface {
	// Restart returns when the switch accepts connections again.
	Restart()
}

// A PortLister is a Switch that reports its ports and their endpoints.
type PortLister interface {
	// Ports lists all ports, by number.
	Ports() ([]testpeers.SwitchPort, error)

	// WaitPorts returns the ports once cond holds for them.
	WaitPorts(ctx context.Context, cond func([]testpeers.SwitchPort) bool) ([]testpeers.SwitchPort, error)
}

// Which peers offer what.
var (
	_ interface {
		Switch
		Killer
		Pauser
		Restarter
		PortLister
	} = (*testpeers.Switch)(nil)
	_ interface {
		Switch
		Killer
		Pauser
		Restarter
	} = (*testpeers.Node)(nil)
	_ interface {
		Switch
		Killer
		Pauser
		Restarter
	} = (*testpeers.Server)(nil)
	_ Switch = (*testutil.FakeSwitch)(nil)
)
