// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun

import (
	"fmt"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"

	"github.com/go-vde/sdk/netstack"
)

const (
	ethernetNIC tcpip.NICID = 1
	tunnelNIC   tcpip.NICID = 2
)

// newStack returns a stack without interfaces that has ICMP and no sockets.
func newStack(v6 bool) *stack.Stack {
	opts := stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4},
		HandleLocal:        true,
	}
	if v6 {
		opts.NetworkProtocols = append(opts.NetworkProtocols, ipv6.NewProtocolWithOptions(ipv6.Options{
			AutoGenLinkLocal: true,
			// As in a netstack.Host: no duplicate address detection, no router
			// advertisements.
			DADConfigs: stack.DADConfigurations{DupAddrDetectTransmits: 0},
			NDPConfigs: ipv6.NDPConfigurations{HandleRAs: ipv6.HandlingRAsDisabled},
		}))
		opts.TransportProtocols = append(opts.TransportProtocols, icmp.NewProtocol6)
	}
	return stack.New(opts)
}

// configure makes the interfaces, between which the stack forwards, with their addresses
// and routes.
func (d *Device) configure(cfg *Config) error {
	var err error
	if d.forwarder, err = netstack.NewForwarder(d.stack); err != nil {
		return err
	}
	if err := d.addNIC(ethernetNIC, "vde0", d.ep, interfaceAddrs(cfg.Addrs, cfg.TunnelAddrs)); err != nil {
		return err
	}
	if err := d.addNIC(tunnelNIC, cfg.Name, d.tunnel, interfaceAddrs(cfg.TunnelAddrs, cfg.Addrs)); err != nil {
		return err
	}
	for _, p := range cfg.Addrs {
		d.stack.AddRoute(tcpip.Route{Destination: subnet(p), NIC: ethernetNIC})
	}
	for _, p := range cfg.tunnelRoutes() {
		d.stack.AddRoute(tcpip.Route{Destination: subnet(p), NIC: tunnelNIC})
	}
	if cfg.Gateway.IsValid() {
		d.stack.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: address(cfg.Gateway), NIC: ethernetNIC})
	}
	if cfg.Gateway6.IsValid() {
		d.stack.AddRoute(tcpip.Route{Destination: header.IPv6EmptySubnet, Gateway: address(cfg.Gateway6), NIC: ethernetNIC})
	}
	if d.hasV6 {
		// For the neighbours' link-local addresses.
		d.stack.AddRoute(tcpip.Route{Destination: subnet(netip.MustParsePrefix("fe80::/64")), NIC: ethernetNIC})
	}
	return nil
}

// addNIC makes an interface with addresses.
func (d *Device) addNIC(id tcpip.NICID, name string, ep stack.LinkEndpoint, addrs []netip.Prefix) error {
	if err := d.stack.CreateNICWithOptions(id, d.forwarder.Endpoint(ep), stack.NICOptions{Name: name}); err != nil {
		return fmt.Errorf("interface %s: %s", name, err)
	}
	for _, p := range addrs {
		protocol := ipv4.ProtocolNumber
		if p.Addr().Is6() {
			protocol = ipv6.ProtocolNumber
		}
		err := d.stack.AddProtocolAddress(id, tcpip.ProtocolAddress{
			Protocol:          protocol,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr()), PrefixLen: p.Bits()},
		}, stack.AddressProperties{})
		if err != nil {
			return fmt.Errorf("address %v: %s", p, err)
		}
	}
	return nil
}

// address converts a valid address without a zone.
func address(a netip.Addr) tcpip.Address {
	if a.Is4() {
		return tcpip.AddrFrom4(a.As4())
	}
	return tcpip.AddrFrom16(a.As16())
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: address(p.Masked().Addr()), PrefixLen: p.Bits()}.Subnet()
}
