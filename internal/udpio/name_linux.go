// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// put sets the address to a.
func (n *name) put(a Addr) {
	b := n.bytes()
	*b = [nameLen]byte{}
	binary.BigEndian.PutUint16(b[2:], a.Port)
	if a.Is4() {
		binary.NativeEndian.PutUint16(b[:], unix.AF_INET)
		copy(b[4:8], a.IP[12:])
		n.len = unix.SizeofSockaddrInet4
		return
	}
	binary.NativeEndian.PutUint16(b[:], unix.AF_INET6)
	copy(b[8:24], a.IP[:])
	binary.NativeEndian.PutUint32(b[24:], a.Scope)
	n.len = unix.SizeofSockaddrInet6
}

// addr returns the address, or the zero Addr if the kernel gave none.
func (n *name) addr(size uint32) (a Addr) {
	b := n.bytes()
	switch family := binary.NativeEndian.Uint16(b[:]); {
	case family == unix.AF_INET && size >= unix.SizeofSockaddrInet4:
		a.IP[10], a.IP[11] = 0xff, 0xff
		copy(a.IP[12:], b[4:8])
	case family == unix.AF_INET6 && size >= unix.SizeofSockaddrInet6:
		copy(a.IP[:], b[8:24])
		a.Scope = binary.NativeEndian.Uint32(b[24:])
	default:
		return a
	}
	a.Port = binary.BigEndian.Uint16(b[2:])
	return a
}

// sockaddr returns a in the form of package unix.
func (a Addr) sockaddr() unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port), Addr: [4]byte(a.IP[12:])}
	}
	return &unix.SockaddrInet6{Port: int(a.Port), Addr: a.IP, ZoneId: a.Scope}
}

// addrOf is the reverse of sockaddr.
func addrOf(sa unix.Sockaddr) (a Addr) {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		a.IP[10], a.IP[11] = 0xff, 0xff
		copy(a.IP[12:], sa.Addr[:])
		a.Port = uint16(sa.Port)
	case *unix.SockaddrInet6:
		a.IP, a.Scope, a.Port = sa.Addr, sa.ZoneId, uint16(sa.Port)
	}
	return a
}
