// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
)

// address converts a to gVisor's form; the zero Addr becomes no address.
func address(a netip.Addr) tcpip.Address {
	switch {
	case !a.IsValid():
		return tcpip.Address{}
	case a.Is4():
		return tcpip.AddrFrom4(a.As4())
	}
	return tcpip.AddrFrom16(a.As16())
}

// netipAddr converts back. An address of IPv4 in IPv6 becomes IPv4.
func netipAddr(a tcpip.Address) netip.Addr {
	b, _ := netip.AddrFromSlice(a.AsSlice())
	return b.Unmap()
}

// protocolOf returns the network protocol of a.
func protocolOf(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

// fullAddress converts ap. Link-local addresses get the interface.
func fullAddress(ap netip.AddrPort) tcpip.FullAddress {
	full := tcpip.FullAddress{Addr: address(ap.Addr().WithZone("")), Port: ap.Port()}
	if a := ap.Addr(); a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
		full.NIC = nicID
	}
	return full
}

func addrPort(full tcpip.FullAddress) netip.AddrPort {
	a := netipAddr(full.Addr)
	if full.NIC == nicID && a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) {
		a = a.WithZone(nicName)
	}
	return netip.AddrPortFrom(a, full.Port)
}

// netAddr returns the net.Addr of proto ("tcp" or "udp"). For the zero address it
// has the unspecified IP address, as in package net.
func netAddr(proto string, ap netip.AddrPort, v6 bool) net.Addr {
	a := ap.Addr()
	if !a.IsValid() {
		a = netip.IPv4Unspecified()
		if v6 {
			a = netip.IPv6Unspecified()
		}
	}
	ap = netip.AddrPortFrom(a, ap.Port())
	if proto == "tcp" {
		return net.TCPAddrFromAddrPort(ap)
	}
	return net.UDPAddrFromAddrPort(ap)
}

// A networkName is the parsed network argument of Dial and Listen.
type networkName struct {
	proto string // "tcp" or "udp"
	v4    bool   // IPv4 is allowed
	v6    bool   // IPv6 is allowed
}

func parseNetwork(network string) (networkName, error) {
	proto := strings.TrimRight(network, "46")
	n := networkName{proto, true, true}
	switch {
	case proto != "tcp" && proto != "udp":
		return n, unknownNetwork(network)
	case network == proto+"4":
		n.v6 = false
	case network == proto+"6":
		n.v4 = false
	case network != proto:
		return n, unknownNetwork(network)
	}
	return n, nil
}

// allows reports whether a is of a family that the network allows.
func (n networkName) allows(a netip.Addr) bool { return a.Is4() && n.v4 || a.Is6() && n.v6 }

// resolve returns the addresses of hostport in the order to try. For an empty host
// it returns the zero Addr, for an empty hostport with the port 0.
func (h *Host) resolve(ctx context.Context, network, hostport string) (networkName, []netip.Addr, uint16, error) {
	name, err := parseNetwork(network)
	if err != nil {
		return name, nil, 0, err
	}
	if hostport == "" {
		return name, []netip.Addr{{}}, 0, nil
	}
	host, service, err := net.SplitHostPort(hostport)
	if err != nil {
		return name, nil, 0, err
	}
	port := 0
	if service != "" {
		if port, err = net.DefaultResolver.LookupPort(ctx, name.proto, service); err != nil {
			return name, nil, 0, err
		}
	}
	if host == "" {
		return name, []netip.Addr{{}}, uint16(port), nil
	}
	a, err := netip.ParseAddr(host)
	if err == nil {
		a = a.Unmap()
		if a == netip.IPv6Unspecified() && name.v4 && !(name.v6 && h.hasV6) {
			a = netip.IPv4Unspecified()
		}
		if !name.allows(a) {
			return name, nil, 0, &net.AddrError{Err: errNoAddress.Error(), Addr: host}
		}
		return name, []netip.Addr{a}, uint16(port), nil
	}
	all, err := h.lookup(ctx, network, host)
	if err != nil {
		return name, nil, 0, err
	}
	var found []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); name.allows(a) && (a.Is4() || h.hasV6) {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return name, nil, 0, &net.AddrError{Err: errNoAddress.Error(), Addr: host}
	}
	return name, found, uint16(port), nil
}

// lookup asks the resolver of the configuration or the known name servers.
func (h *Host) lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	family := "ip"
	if last := network[len(network)-1]; last == '4' || last == '6' {
		family += string(last)
	}
	if h.lookupNetIP != nil {
		return h.lookupNetIP(ctx, family, host)
	}
	servers := h.DNS()
	if len(servers) == 0 {
		return nil, &net.DNSError{Err: errNoResolver.Error(), Name: host, IsNotFound: true}
	}
	return attempts(ctx, len(servers), serverDelay, func(ctx context.Context, i int) ([]netip.Addr, error) {
		return h.ask(ctx, netip.AddrPortFrom(servers[i], 53).String(), family, host)
	}, func([]netip.Addr) {}, isNotFound)
}

const (
	// serverDelay is the time after which the next name server is asked beside
	// those that have not answered.
	serverDelay = time.Second

	// serverTimeout bounds the time that one server is asked, which is enough to
	// ask it twice.
	serverTimeout = 10 * time.Second
)

// ask asks one name server. Its errors name that server.
func (h *Host) ask(ctx context.Context, server, family, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTimeout)
	defer cancel()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return h.DialContext(ctx, network, server)
	}}
	addrs, err := r.LookupNetIP(ctx, family, host)
	if de, ok := errors.AsType[*net.DNSError](err); ok {
		named := *de
		named.Server = server // the resolver names one of the machine's
		return nil, &named
	}
	return addrs, err
}

// isNotFound reports whether a server has answered that a name has no address, so that
// no other server needs to be asked.
func isNotFound(err error) bool {
	de, ok := errors.AsType[*net.DNSError](err)
	return ok && de.IsNotFound
}

// contextError returns the cause of ctx if it matches the error of ctx, and
// otherwise that error.
func contextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return err
}
