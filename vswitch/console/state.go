// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"maps"
	"slices"
	"time"

	"github.com/go-vde/sdk/vswitch"
)

// maxVLAN is the highest identifier that vlan/create takes.
const maxVLAN = 4093

// A state is what a vde_switch knows and a vswitch.Switch does not.
type state struct {
	vlans   map[int]bool                // made by vlan/create
	base    map[int]vswitch.PortStats   // counters when they were reset
	removed map[int]vswitch.PortStats   // ports removed, with their counters then
	open    map[int]bool                // ports that are allocatable, and reserved for their access list
	bonus   map[int]portBonus           // by VLAN
	edges   map[vlanPort]bool           // by fstp/setedge
	hash    struct{ size, gc, min int } // by hash/setsize and so on
	expire  expiry
}

// An expiry is an ageing time in whole seconds that the switch cannot have.
type expiry struct {
	seconds int
	as      time.Duration // what the switch has instead; 0 if the ageing time was not set
}

type portBonus struct{ port, cost int }

type vlanPort struct{ vlan, port int }

func newState(hashSize int) state {
	st := state{
		vlans: map[int]bool{0: true}, base: make(map[int]vswitch.PortStats), removed: make(map[int]vswitch.PortStats),
		open: make(map[int]bool), bonus: make(map[int]portBonus), edges: make(map[vlanPort]bool),
	}
	st.hash.size, st.hash.gc, st.hash.min = hashSize, 2, 3
	return st
}

// A portState is a port that exists for the console.
type portState struct {
	number    int
	config    vswitch.PortConfig
	endpoints []vswitch.Endpoint
	blocked   bool
	trunk     *vlanSet // what config.Tagged says if that is long, or nil
}

// A vlanSet is a set of VLANs.
type vlanSet [(vswitch.NoVLAN + 1) / 64]uint64

func newPortState(n int, pc vswitch.PortConfig) portState {
	p := portState{number: n, config: pc}
	if len(pc.Tagged) > 16 {
		p.trunk = new(vlanSet)
		for _, v := range pc.Tagged {
			p.trunk[v/64] |= 1 << (v % 64)
		}
	}
	return p
}

func (p *portState) active() bool { return len(p.endpoints) > 0 }

// in reports whether the port is in VLAN v, and with a tag.
func (p *portState) in(v int) (member, tagged bool) {
	if int(p.config.VLAN) == v && v != vswitch.NoVLAN {
		return true, false
	}
	if p.trunk != nil {
		member = v >= 0 && v <= vswitch.NoVLAN && p.trunk[v/64]&(1<<(v%64)) != 0
	} else {
		member = slices.Contains(p.config.Tagged, uint16(v))
	}
	return member, member
}

// ports returns the ports that exist, by number: those of the switch without those that
// port/remove has removed. s.mu is held.
func (s *Server) ports() []portState {
	var list []portState
	for _, p := range s.sw.Ports() {
		ps := newPortState(p.Number, p.Config)
		ps.endpoints, ps.blocked = p.Endpoints, p.Loop.Blocked
		list = append(list, ps)
	}
	if len(s.state.removed) > 0 {
		stats := s.portStats()
		list = slices.DeleteFunc(list, func(p portState) bool {
			was, removed := s.state.removed[p.number]
			if removed && (p.active() || used(stats[p.number], was)) {
				delete(s.state.removed, p.number)
				return false
			}
			return removed
		})
	}
	return list
}

// used reports whether frames have come from or for a port since its counters were was.
func used(now, was vswitch.PortStats) bool {
	return now.In.Frames != was.In.Frames || now.Out.Offered != was.Out.Offered
}

// port returns port n, or nil if it does not exist; s.mu is held.
func (s *Server) port(n int) *portState {
	list := s.ports()
	i, ok := slices.BinarySearchFunc(list, n, func(p portState, n int) int { return p.number - n })
	if !ok {
		return nil
	}
	return &list[i]
}

// portStats returns the counters of all ports by number.
func (s *Server) portStats() map[int]vswitch.PortStats {
	stats := make(map[int]vswitch.PortStats)
	for _, p := range s.sw.Stats().Ports {
		stats[p.Port] = p
	}
	return stats
}

// numPorts returns the number of ports as vde_switch counts them: port 0 is one.
func (s *Server) numPorts() int { return s.sw.Config().NumPorts + 1 }

// checkPort returns why n is no number of a port that exists; s.mu is held.
func (s *Server) checkPort(n int) Status {
	switch {
	case n < 0 || n >= s.numPorts():
		return BadValue
	case s.port(n) == nil:
		return NoObject
	}
	return OK
}

// vlans returns the VLANs that exist, in order, with those of ports; s.mu is held.
func (s *Server) vlans(ports []portState) []int {
	set := maps.Clone(s.state.vlans)
	for _, p := range ports {
		if p.config.VLAN != vswitch.NoVLAN {
			set[int(p.config.VLAN)] = true
		}
		for _, v := range p.config.Tagged {
			set[int(v)] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// hasVLAN reports whether VLAN v exists; s.mu is held.
func (s *Server) hasVLAN(v int) bool { return slices.Contains(s.vlans(s.ports()), v) }
