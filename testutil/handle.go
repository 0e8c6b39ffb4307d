// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"context"
	"time"
)

// A SwitchHandle is a running switch as a shared suite of tests sees it, whoever made it: a directory that
// answers the VDE control protocol, and a way to end it. A handle may offer more; a suite asks for
// [Killer], [Pauser], [Restarter] and [PortLister] by type assertion and leaves out what is not offered.
type SwitchHandle interface {
	// Dir returns the control directory: the socket to connect is Dir()/ctl, and the path alone is a VNL.
	Dir() string

	// Stop ends the switch in an orderly way and returns when it has released its sockets and their names.
	// Stopping twice is allowed.
	Stop()
}

// A Killer is a switch that can die without cleaning up, leaving the names of its sockets behind.
type Killer interface {
	// Kill returns when the switch is dead.
	Kill()
}

// A Pauser is a switch that can stand still with its sockets open.
type Pauser interface {
	// Pause returns when the switch stands still.
	Pause()

	// Resume lets it go on.
	Resume()
}

// A Restarter is a switch that can come back in the same directory, after Stop, Kill, or while it runs.
type Restarter interface {
	// Restart returns when the switch accepts connections again.
	Restart()
}

// A PortLister is a switch that tells what is plugged into it.
type PortLister interface {
	// Ports lists all ports, by number.
	Ports() ([]Port, error)

	// WaitPorts returns the ports once cond holds for them.
	WaitPorts(ctx context.Context, cond func([]Port) bool) ([]Port, error)
}

// A Port is one port of a switch.
type Port struct {
	Number      int
	Active      bool // at least one cable is plugged in
	VLAN        int  // the untagged VLAN; 4095 means none
	Allocatable bool // may be given to a plug that asks for any port
	User        string
	AllowUser   string // access list; "NONE" means no restriction
	AllowGroup  string
	InPackets   uint64 // from the plugs into the switch; zero if the switch does not count
	InBytes     uint64
	OutPackets  uint64
	OutBytes    uint64
	Endpoints   []Endpoint // one per cable, the newest first
}

// An Endpoint is one cable on a port.
type Endpoint struct {
	ID          int
	Module      string // for example "unix prog" or "tuntap"
	Description string // whatever the plug says about itself
}

// past is a deadline that has gone by.
var past = time.Unix(1, 0)

// deadlineOnDone makes reads from r fail once ctx is done. The returned function undoes that, and returns only
// when no late deadline can follow.
func deadlineOnDone(ctx context.Context, r interface{ SetReadDeadline(time.Time) error }) func() {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		r.SetReadDeadline(past)
		close(fired)
	})
	return func() {
		if !stop() {
			<-fired
		}
		r.SetReadDeadline(time.Time{})
	}
}
