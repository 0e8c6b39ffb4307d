// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/vswitch"
)

func (x *executor) portInfo(string) Status {
	s := x.srv
	x.printf("Numports=%d\nHUB=%t\ncounters=true\n", s.numPorts(), s.sw.Hub())
	return OK
}

func (x *executor) portSetNum(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	n := decimal(arg)
	ports := s.ports()
	switch {
	case n < 1:
		return BadValue
	case len(ports) > 0 && ports[len(ports)-1].number >= n:
		return InUse
	case n == 1:
		return BadValue // port 0 alone
	}
	err := s.sw.SetNumPorts(n - 1)
	switch {
	case errors.Is(err, vswitch.ErrPortInUse):
		return InUse
	case err != nil:
		return BadValue
	}
	return OK
}

func (x *executor) portSetHub(arg string) Status {
	x.srv.sw.SetHub(decimal(arg) != 0)
	return OK
}

func (x *executor) portSetVLAN(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := scanInts(arg, 2)
	if !ok || a[1] < 0 || a[1] > vswitch.NoVLAN {
		return BadValue
	}
	if status := s.checkPort(a[0]); status != OK {
		return status
	}
	if a[1] != vswitch.NoVLAN && !s.hasVLAN(a[1]) {
		return NoObject
	}
	return s.change(s.port(a[0]), func(pc *vswitch.PortConfig) {
		pc.VLAN = uint16(a[1])
		pc.Tagged = without(pc.Tagged, a[1])
	})
}

// without returns a copy of a list of VLANs without v.
func without(vlans []uint16, v int) []uint16 {
	return slices.DeleteFunc(slices.Clone(vlans), func(o uint16) bool { return int(o) == v })
}

// change changes the configuration of p: what do says, and nothing that others change at
// the same moment. do is called again if they do. The slices of what it is given belong to
// the switch. s.mu is held.
func (s *Server) change(p *portState, do func(*vswitch.PortConfig)) Status {
	for set := false; !set; {
		old, err := s.sw.Port(p.number)
		if err == nil {
			pc := old
			do(&pc)
			set, err = s.sw.CompareAndSetPort(p.number, old, pc)
		}
		if err != nil {
			return s.refused(p.number, err)
		}
	}
	return OK
}

// refused logs why the configuration of port n cannot be changed.
func (s *Server) refused(n int, err error) Status {
	s.opts.Logger.Warn("cannot configure a port", "port", n, "error", err)
	return BadValue
}

func (x *executor) portCreateAuto(string) Status {
	n, status := x.srv.createPort(0)
	if status == OK {
		x.printf("Port %04d\n", n)
	}
	return status
}

func (x *executor) portCreate(arg string) Status {
	_, status := x.srv.createPort(decimal(arg))
	return status
}

// createPort makes port n, or with 0 the lowest that does not exist. It has no
// configuration but that only clients that ask for it by its number get it.
func (s *Server) createPort(n int) (int, Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ports, last := s.ports(), s.numPorts()-1
	if n == 0 {
		n = 1
		for _, p := range ports {
			if p.number == n {
				n++
			}
		}
		if n > last {
			return 0, NoSpace
		}
	}
	switch {
	case n < 0 || n > last:
		return 0, BadValue
	case slices.ContainsFunc(ports, func(p portState) bool { return p.number == n }):
		return 0, Exists
	}
	pc := s.sw.Config().DefaultPort
	pc.Reserved = true
	if err := s.sw.SetPort(n, pc); err != nil {
		return 0, s.refused(n, err)
	}
	if was, ok := s.state.removed[n]; ok {
		delete(s.state.removed, n)
		s.state.base[n] = was
	}
	s.broadcast(portCame, fmt.Sprintf("%02d", n), func(c *session) { c.events.know(n) })
	return n, OK
}

func (x *executor) portRemove(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	n := decimal(arg)
	if status := s.checkPort(n); status != OK {
		return status
	}
	if p := s.port(n); p.active() {
		return InUse
	}
	if err := s.sw.ResetPort(n); err != nil {
		return BadValue
	}
	if s.opts.Access != nil {
		s.opts.Access.set(n, accessList{anyone, anyone})
	}
	delete(s.state.open, n)
	s.state.removed[n] = s.portStats()[n]
	for c := range s.sessions {
		c.events.forget(n)
	}
	return OK
}

func (x *executor) portAllocatable(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := scanInts(arg, 2)
	if !ok {
		return BadValue
	}
	if status := s.checkPort(a[0]); status != OK {
		return status
	}
	p := s.port(a[0])
	return s.setAllocatable(p, a[1] != 0)
}

// setAllocatable makes p a port that clients get that ask for any, unless it has an access
// list: the switch does not look at it when it chooses a port. s.mu is held.
func (s *Server) setAllocatable(p *portState, allocatable bool) Status {
	restricted := s.opts.Access != nil && s.opts.Access.list(p.number).restricts()
	if delete(s.state.open, p.number); allocatable && restricted {
		s.state.open[p.number] = true
	}
	return s.change(p, func(pc *vswitch.PortConfig) { pc.Reserved = !allocatable || restricted })
}

// allocatable reports what port/allocatable has set; s.mu is held.
func (s *Server) allocatable(p *portState) bool { return !p.config.Reserved || s.state.open[p.number] }

func (x *executor) portSetUser(arg string) Status {
	return x.setAccess(arg, lookupUser, func(l *accessList) *int64 { return &l.user })
}

func (x *executor) portSetGroup(arg string) Status {
	return x.setAccess(arg, lookupGroup, func(l *accessList) *int64 { return &l.group })
}

// setAccess changes the field of the access list of a port.
func (x *executor) setAccess(arg string, lookup func(string) (string, error), field func(*accessList) *int64) Status {
	s := x.srv
	if s.opts.Access == nil {
		return NoCommand
	}
	n, text, ok := scanName(arg)
	if !ok {
		return BadValue
	}
	id, ok := id(text, lookup)
	s.mu.Lock()
	defer s.mu.Unlock()
	if status := s.checkPort(n); status != OK {
		return status
	}
	if !ok {
		return BadValue
	}
	p := s.port(n)
	allocatable := s.allocatable(p)
	l := s.opts.Access.list(n)
	*field(&l) = id
	s.opts.Access.set(n, l)
	return s.setAllocatable(p, allocatable)
}

func (x *executor) portEndpointClose(arg string) Status {
	s := x.srv
	a, ok := scanInts(arg, 2)
	if !ok || a[0] < 0 || a[0] >= s.numPorts() {
		return BadValue
	}
	if a[1] < 1 || s.sw.Disconnect(a[0], uint64(a[1])) != nil {
		return NoObject
	}
	return OK
}

func (x *executor) portResetCounter(arg string) Status {
	s := x.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.portStats()
	if arg == "" {
		s.state.base = stats
		return OK
	}
	n := decimal(arg)
	if n < 0 || n >= s.numPorts() {
		return BadValue
	}
	s.state.base[n] = stats[n]
	return OK
}

func (x *executor) portPrint(arg string) Status    { return x.printPorts(arg, false) }
func (x *executor) portPrintAll(arg string) Status { return x.printPorts(arg, true) }

// printPorts prints the ports that are active, or all, or the one that arg names. A
// long list is taken piece by piece, so that no more than a piece is kept for a session
// that does not read.
func (x *executor) printPorts(arg string, all bool) Status {
	s := x.srv
	first, last := 0, s.numPorts()-1
	if arg != "" {
		n := decimal(arg)
		if n < 0 || n > last {
			return BadValue
		}
		first, last = n, n
	}
	names, found := newNames(), false
	for more := true; more && x.err == nil; {
		more = false
		s.mu.Lock()
		ports, stats := s.ports(), s.portStats()
		base := s.state.base
		for i := range ports {
			p := &ports[i]
			if p.number < first || p.number > last || !all && !p.active() {
				continue
			}
			if more = x.full(); more {
				break
			}
			x.printPort(p, stats[p.number], base[p.number], names)
			first, found = p.number+1, true
		}
		s.mu.Unlock()
		if more {
			x.flush()
		}
	}
	if arg != "" && !found {
		return NoObject
	}
	return OK
}

// printPort prints one port; s.mu is held.
func (x *executor) printPort(p *portState, now, base vswitch.PortStats, names *names) {
	list := accessList{anyone, anyone}
	if x.srv.opts.Access != nil {
		list = x.srv.opts.Access.list(p.number)
	}
	active, allocatable, user := "INACTIVE", "", int64(anyone)
	if p.active() {
		active = "ACTIVE"
		if isClient(p.endpoints[0].Kind) {
			user = int64(p.endpoints[0].UID)
		}
	}
	if !x.srv.allocatable(p) {
		allocatable = "NOT "
	}
	x.printf("Port %04d untagged_vlan=%04d %s - %sUnnamed Allocatable\n", p.number, p.config.VLAN, active, allocatable)
	x.printf(" Current User: %s Access Control: (User: %s - Group: %s)\n", names.user(user), names.user(list.user), names.group(list.group))
	x.printf(" IN:  pkts %10d          bytes %20d\n", now.In.Frames-base.In.Frames, now.In.Bytes-base.In.Bytes)
	x.printf(" OUT: pkts %10d          bytes %20d\n", now.Out.Frames-base.Out.Frames, now.Out.Bytes-base.Out.Bytes)
	for _, e := range slices.Backward(p.endpoints) {
		x.printf("  -- endpoint ID %04d module %-12s: %s\n", e.ID, module(e.Kind), wire.SanitizeDescription(e.Description))
	}
}

// isClient reports whether an endpoint of kind k is a client of a control socket.
func isClient(k vswitch.Kind) bool {
	return k == vswitch.KindSocket || k == vswitch.KindStream || k == vswitch.KindSharedMemory
}

// module returns what vde_switch would call an endpoint of kind k.
func module(k vswitch.Kind) string {
	if isClient(k) {
		return "unix prog"
	}
	return wire.SanitizeDescription(string(k))
}
