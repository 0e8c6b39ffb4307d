// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net/netip"
	"sync"
)

// listeners are the open TCP listeners of a host. The stack itself lets one listen on
// all addresses and another on one of them if both may reuse a port in TIME-WAIT, and
// without that a port is not free again when its listener is closed.
type listeners struct {
	mu  sync.Mutex // held while a listener is opened
	all map[*TCPListener]struct{}
}

// A listenAddr is what a listener is bound to.
type listenAddr struct {
	port   uint16
	addr   netip.Addr // the zero Addr for all addresses of the families
	v4, v6 bool
	shared bool // with others that say so too (SO_REUSEPORT)
}

// listenAddrOf returns what a listener on a is bound to, without the port.
func (h *Host) listenAddrOf(name networkName, a netip.Addr) listenAddr {
	if a.IsValid() && !a.IsUnspecified() {
		return listenAddr{addr: a.WithZone(""), v4: a.Is4(), v6: a.Is6()}
	}
	return listenAddr{v4: name.v4, v6: name.v6 && h.hasV6}
}

// overlaps reports whether a connection could go to listeners on both, which they have
// not agreed on.
func (a listenAddr) overlaps(b listenAddr) bool {
	return a.port == b.port && !(a.shared && b.shared) && (a.v4 && b.v4 || a.v6 && b.v6) &&
		(!a.addr.IsValid() || !b.addr.IsValid() || a.addr == b.addr)
}

// conflict reports whether an open listener overlaps a. l.mu is held.
func (l *listeners) conflict(a listenAddr) bool {
	for other := range l.all {
		if other.bind.overlaps(a) {
			return true
		}
	}
	return false
}

// add is called with l.mu held.
func (l *listeners) add(t *TCPListener) {
	if l.all == nil {
		l.all = make(map[*TCPListener]struct{})
	}
	l.all[t] = struct{}{}
}

func (l *listeners) remove(t *TCPListener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, t)
}
