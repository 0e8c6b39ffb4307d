// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"encoding/binary"
	"net/netip"
)

// An Addr is the address of a UDP socket in a comparable form without pointers.
// IPv4 addresses are mapped to IPv6.
type Addr struct {
	IP    [16]byte
	Scope uint32 // the interface, for link-local addresses
	Port  uint16
}

// AddrOf returns ap as an Addr in the given scope.
func AddrOf(ap netip.AddrPort, scope uint32) Addr {
	return Addr{IP: ap.Addr().As16(), Scope: scope, Port: ap.Port()}
}

// AddrPort returns a without its scope.
func (a Addr) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(a.IP).Unmap(), a.Port)
}

// Is4 reports whether a is an IPv4 address.
func (a Addr) Is4() bool {
	return binary.BigEndian.Uint64(a.IP[:]) == 0 && binary.BigEndian.Uint32(a.IP[8:]) == 0xffff
}

// WithPort returns a with another port.
func (a Addr) WithPort(port uint16) Addr {
	a.Port = port
	return a
}
