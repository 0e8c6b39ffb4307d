// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// newStack returns a stack without interfaces, and without IPv6 if v6 is nil. It takes
// its sequence numbers, ports and identifiers from crypto/rand. A nil clock means the
// default.
func newStack(cfg *HostConfig, v6 *ipv6.Options, arp stack.NetworkProtocolFactory, clock tcpip.Clock) *stack.Stack {
	opts := stack.Options{
		Clock:                    clock,
		NetworkProtocols:         []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp},
		TransportProtocols:       []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		HandleLocal:              true,
		AllowPacketEndpointWrite: cfg.DHCP,
	}
	if v6 != nil {
		opts.NetworkProtocols = append(opts.NetworkProtocols, ipv6.NewProtocolWithOptions(*v6))
		opts.TransportProtocols = append(opts.TransportProtocols, icmp.NewProtocol6)
	}
	s := stack.New(opts)
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	cc := tcpip.CongestionControlOption(cfg.CongestionControl)
	// RACK is off. In this release of gVisor it takes segments that arrive late for
	// lost. After a timeout it enters a recovery that counts all lost segments as
	// in flight and sends two segments for each further timeout. After a switch
	// with full queues has dropped a burst, that takes seconds. docs/netstack.md
	// has the figures.
	recovery := tcpip.TCPRecovery(0)
	// All frames in flight are lost when a switch is killed. If they filled the
	// window, no later segment shows the gap to the receiver, and only the timer
	// helps. This release of gVisor acknowledges the segment that fills the gap with
	// an old timestamp, so the sender measures the whole outage as a round trip, and
	// its timeout grows with each outage: to minutes after fifty in a row.
	maxRTO := tcpip.TCPMaxRTOOption(cfg.MaxRTO)
	retries := tcpip.TCPMaxRetriesOption(max(tcp.MaxRetries, tcpGiveUp/cfg.MaxRTO))
	for _, opt := range []tcpip.SettableTransportProtocolOption{
		&sack,
		&moderate,
		&cc,
		&recovery,
		&maxRTO,
		&retries,
		&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: min(cfg.SendBuffer, tcp.DefaultSendBufferSize), Max: cfg.SendBuffer},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: min(cfg.ReceiveBuffer, tcp.DefaultReceiveBufferSize), Max: cfg.ReceiveBuffer},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			panic(fmt.Sprintf("netstack: %T: %v", opt, err)) // check has validated the values
		}
	}
	return s
}

// configure creates the interface with its addresses and routes. Duplicate address
// detection for IPv6 goes on when it returns; checks receive the results.
func (h *Host) configure(ctx context.Context, cfg *HostConfig) (checks []<-chan error, err error) {
	if err := h.stack.CreateNICWithOptions(nicID, h.ep, stack.NICOptions{Name: nicName}); err != nil {
		return nil, errors.New(err.String())
	}
	h.stack.AddRoute(tcpip.Route{Destination: header.IPv4Broadcast.WithPrefix().Subnet(), NIC: nicID})
	multicast := []string{"224.0.0.0/4"}
	if h.hasV6 {
		multicast = append(multicast, "ff00::/8", "fe80::/64")
	}
	for _, m := range multicast {
		h.stack.AddRoute(tcpip.Route{Destination: subnet(netip.MustParsePrefix(m)), NIC: nicID})
	}
	for _, p := range cfg.Addrs {
		if p.Addr().Is4() {
			continue
		}
		if h.autoconf != nil {
			checks = append(checks, h.autoconf.check(p.Addr().WithZone("")))
		}
		if err := h.addAddr(p); err != nil {
			return nil, err
		}
	}
	if cfg.DetectConflicts {
		if err := h.probeAll(ctx, cfg.Addrs); err != nil {
			return nil, err
		}
	}
	for _, p := range cfg.Addrs {
		if p.Addr().Is6() {
			continue
		}
		if err := h.addAddr(p); err != nil {
			return nil, err
		}
	}
	for _, gw := range []netip.Addr{cfg.Gateway, cfg.Gateway6} {
		if gw.IsValid() {
			h.stack.AddRoute(defaultRoute(gw))
		}
	}
	return checks, nil
}

// addAddr adds an address and the route to its network.
func (h *Host) addAddr(p netip.Prefix) error {
	if err := h.addAddrOnly(p); err != nil {
		return err
	}
	h.stack.AddRoute(tcpip.Route{Destination: subnet(p), NIC: nicID})
	return nil
}

// addAddrOnly adds an address without a route.
func (h *Host) addAddrOnly(p netip.Prefix) error {
	err := h.stack.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol:          protocolOf(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr().WithZone("")), PrefixLen: p.Bits()},
	}, stack.AddressProperties{})
	if err != nil {
		return fmt.Errorf("address %v: %s", p, err)
	}
	return nil
}

// removeAddr removes what addAddr has added.
func (h *Host) removeAddr(p netip.Prefix) {
	h.stack.RemoveAddress(nicID, address(p.Addr())) // fails only if the stack has been closed
	h.removeRoute(tcpip.Route{Destination: subnet(p), NIC: nicID})
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: address(p.Masked().Addr().WithZone("")), PrefixLen: p.Bits()}.Subnet()
}

func defaultRoute(gw netip.Addr) tcpip.Route {
	dst := header.IPv4EmptySubnet
	if gw.Is6() {
		dst = header.IPv6EmptySubnet
	}
	return tcpip.Route{Destination: dst, Gateway: address(gw.WithZone("")), NIC: nicID}
}

// setRoutes replaces old routes of the host by others. A destination that is in both is
// never without a route.
func (h *Host) setRoutes(old, routes []tcpip.Route) {
	if slices.EqualFunc(old, routes, sameRoute) {
		return
	}
	for _, r := range routes {
		h.stack.AddRoute(r) // behind old ones of the same length
	}
	for _, r := range old {
		h.removeRoute(r)
	}
}

// removeRoute removes one route. If the table has it more than once, because others have
// added it too, it removes the first.
func (h *Host) removeRoute(gone tcpip.Route) {
	found := false
	h.stack.RemoveRoutes(func(r tcpip.Route) bool {
		first := !found && sameRoute(r, gone)
		found = found || first
		return first
	})
}

// sameRoute reports whether a and b are the same route. [tcpip.Route.Equal] does not
// compare gateways.
func sameRoute(a, b tcpip.Route) bool { return a.Equal(b) && a.Gateway == b.Gateway }
