// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"fmt"

	"github.com/go-vde/sdk/vswitch"
)

// The switch has no spanning tree. What these commands set is kept and shown, and does
// nothing.

// bridgeID returns the identifier of the switch.
func (s *Server) bridgeID() string {
	return fmt.Sprintf("%02x:%02x:%v", s.opts.Priority>>8&0xff, s.opts.Priority&0xff, s.opts.MAC)
}

func (x *executor) fstpInfo(string) Status {
	s := x.srv
	x.printf("MAC %v Priority %d (0x%x)\nFSTP=false\n", s.opts.MAC, s.opts.Priority, s.opts.Priority)
	return OK
}

func (x *executor) fstpSet(arg string) Status {
	switch {
	case x.srv.sw.Hub():
		x.printf("Can't use fstp in hub mode\n")
	case decimal(arg) != 0:
		x.printf("This switch has no fstp\n")
	}
	return OK
}

// fstpPort reads a VLAN, a port and a number; s.mu is held.
func (s *Server) fstpPort(arg string) (vp vlanPort, n int, status Status) {
	a, ok := scanInts(arg, 3)
	if !ok || a[0] < 0 || a[0] >= vswitch.NoVLAN || a[1] < 0 || a[1] >= s.numPorts() {
		return vp, 0, BadValue
	}
	if !s.hasVLAN(a[0]) {
		return vp, 0, NoObject
	}
	return vlanPort{a[0], a[1]}, a[2], OK
}

func (x *executor) fstpEdge(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	vp, n, status := s.fstpPort(arg)
	if status != OK {
		return status
	}
	if delete(s.state.edges, vp); n != 0 {
		s.state.edges[vp] = true
	}
	return OK
}

func (x *executor) fstpBonus(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	vp, n, status := s.fstpPort(arg)
	if status != OK {
		return status
	}
	s.state.bonus[vp.vlan] = portBonus{vp.port, n}
	return OK
}

// portCost is what vde_switch says of each port.
const portCost = 20000000

func (x *executor) fstpPrint(arg string) Status {
	s := x.srv
	return x.eachVLAN(arg, 0, func(v int, ports []portState) {
		bonus := s.state.bonus[v]
		x.printf("FST DATA VLAN %04d ROOTSWITCH FSTP IS DISABLED\n ++ root %s\n ++ designated ff:ff:ff:ff:ff:ff:ff:ff\n", v, s.bridgeID())
		x.printf(" ++ rootport 0000 cost 0 age %d bonusport %04d bonuscost %d\n", s.uptime(), bonus.port, bonus.cost)
		for _, withTag := range []bool{false, true} {
			for i := range ports {
				p := &ports[i]
				if member, tagged := p.in(v); member && tagged == withTag && p.active() {
					x.printf(" -- Port %04d tagged=%d portcost=%d role=%s\n", p.number, flag(tagged), portCost, s.role(v, p.number, tagged))
				}
			}
		}
	})
}

// role returns what vde_switch says of an active port in VLAN v; s.mu is held.
func (s *Server) role(v, port int, tagged bool) string {
	switch {
	case tagged:
		return "Unknown"
	case s.state.edges[vlanPort{v, port}]:
		return "Edge"
	case port == 0:
		return "Root"
	}
	return "Designated"
}
