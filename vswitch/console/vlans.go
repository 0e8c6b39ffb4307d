// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"fmt"
	"slices"

	"github.com/go-vde/sdk/vswitch"
)

func (x *executor) vlanCreate(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	v := decimal(arg)
	switch {
	case v < 1 || v > maxVLAN:
		return BadValue
	case s.hasVLAN(v):
		return Exists
	}
	s.state.vlans[v] = true
	s.broadcast(fstpRoot, fmt.Sprintf("Port %04d VLAN %02x:%02x -> %s", 0, v>>8, v&0xff, s.bridgeID()), nil)
	return OK
}

func (x *executor) vlanRemove(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	v := decimal(arg)
	ports := s.ports()
	switch {
	case v < 0 || v >= vswitch.NoVLAN:
		return BadValue
	case !slices.Contains(s.vlans(ports), v):
		return NoObject
	case v == 0 || slices.ContainsFunc(ports, func(p portState) bool { member, _ := p.in(v); return member }):
		return InUse
	}
	delete(s.state.vlans, v)
	delete(s.state.bonus, v)
	for edge := range s.state.edges {
		if edge.vlan == v {
			delete(s.state.edges, edge)
		}
	}
	return OK
}

// member returns the port that arg names behind a VLAN; s.mu is held.
func (s *Server) member(arg string) (p *portState, v int, status Status) {
	a, ok := scanInts(arg, 2)
	if !ok || a[0] < 0 || a[0] >= vswitch.NoVLAN-1 && !s.hasVLAN(a[0]) {
		return nil, 0, BadValue
	}
	if status := s.checkPort(a[1]); status != OK {
		return nil, 0, status
	}
	if !s.hasVLAN(a[0]) {
		return nil, 0, NoObject
	}
	return s.port(a[1]), a[0], OK
}

func (x *executor) vlanAddPort(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	p, v, status := s.member(arg)
	if status != OK {
		return status
	}
	if member, _ := p.in(v); member {
		return OK
	}
	return s.change(p, func(pc *vswitch.PortConfig) { pc.Tagged = append(without(pc.Tagged, v), uint16(v)) })
}

func (x *executor) vlanDelPort(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	p, v, status := s.member(arg)
	if status != OK {
		return status
	}
	switch member, tagged := p.in(v); {
	case !member:
		return OK
	case !tagged:
		return InUse
	}
	return s.change(p, func(pc *vswitch.PortConfig) { pc.Tagged = without(pc.Tagged, v) })
}

func (x *executor) vlanPrint(arg string) Status { return x.printVLANs(arg, false, 0) }

func (x *executor) vlanPrintAll(arg string) Status { return x.printVLANs(arg, true, 1) }

// printVLANs prints all VLANs, or the one that arg names, which may be no lower than
// lowest, with their ports that are active, or all.
func (x *executor) printVLANs(arg string, all bool, lowest int) Status {
	return x.eachVLAN(arg, lowest, func(v int, ports []portState) {
		x.printf("VLAN %04d\n", v)
		for i := range ports {
			p := &ports[i]
			member, tagged := p.in(v)
			if !member || !all && !p.active() {
				continue
			}
			status := "Learning"
			switch {
			case p.active() && p.blocked:
				status = "Discarding"
			case p.active():
				status = "Forwarding"
			}
			x.printf(" -- Port %04d tagged=%d active=%d status=%s\n", p.number, flag(tagged), flag(p.active()), status)
		}
	})
}

// eachVLAN calls print for all VLANs, or the one that arg names, with s.mu held.
func (x *executor) eachVLAN(arg string, lowest int, print func(v int, ports []portState)) Status {
	s := x.srv
	first, last := 0, vswitch.NoVLAN-1
	if arg != "" {
		v := decimal(arg)
		if v < lowest || v > last {
			return BadValue
		}
		first, last = v, v
	}
	found := false
	for more := true; more && x.err == nil; {
		more = false
		s.mu.Lock()
		ports := s.ports()
		for _, v := range s.vlans(ports) {
			if v < first || v > last {
				continue
			}
			if more = x.full(); more {
				break
			}
			print(v, ports)
			first, found = v+1, true
		}
		s.mu.Unlock()
		if more {
			x.flush()
		}
	}
	switch {
	case arg == "" || found:
		return OK
	case last > maxVLAN:
		return BadValue
	}
	return NoObject
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
