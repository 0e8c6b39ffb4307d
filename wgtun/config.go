// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
)

const (
	// DefaultMTU is the MTU of the tunnel if the configuration has none: that of
	// WireGuard, whose datagrams then fit 1500 bytes over IPv6 too.
	DefaultMTU = 1420

	// minMTU is what every IPv4 host has to accept (RFC 791).
	minMTU = 576

	// maxMTU leaves room for the headers of a datagram of WireGuard and its padding.
	maxMTU = 65535 - 96

	defaultTunnelQueue = 512
	defaultName        = "wg0"
)

// A Config configures a [Device]. It needs Addrs, and Routes or TunnelAddrs.
type Config struct {
	// Addrs are the addresses of the device on the Ethernet with the lengths of their
	// prefixes, as in 10.0.1.1/24 or fd00:1::1/64. A device without an IPv6 address
	// carries no IPv6.
	Addrs []netip.Prefix

	// Gateway and Gateway6 are routers on the Ethernet, for packets from the tunnel
	// whose destination is neither on a network of Addrs nor behind the tunnel.
	Gateway, Gateway6 netip.Addr

	// MAC is the Ethernet address (default: random). With that of [netstack.StableMAC]
	// neighbours know the device after a restart of the program.
	MAC frame.MAC

	// EthernetMTU is the MTU of the Ethernet in bytes (default
	// [netstack.DefaultMTU]).
	EthernetMTU int

	// TunnelAddrs are the addresses of the device in the tunnel with the lengths of
	// their prefixes, as Address of wg-quick(8); their networks are behind the tunnel.
	// Without one, the device has its addresses on the Ethernet there too.
	TunnelAddrs []netip.Prefix

	// Routes are the destinations behind the tunnel, usually the allowed IPs of all
	// peers.
	Routes []netip.Prefix

	// MTU is that of the tunnel: the length of its longest packet in bytes (default
	// DefaultMTU).
	MTU int

	// Queue is how many packets may wait for Read (default 512). Twice as many may
	// wait for the Ethernet.
	Queue int

	// Name is the name of the device for logs (default "wg0").
	Name string
}

// check validates the configuration, except what NewEndpoint does, and sets defaults.
func (cfg *Config) check() error {
	cfg.setDefaults()
	if len(cfg.Addrs) == 0 {
		return errors.New("a device needs Addrs")
	}
	if len(cfg.Routes)+len(cfg.TunnelAddrs) == 0 {
		return errors.New("nothing is behind the tunnel: a device needs Routes or TunnelAddrs")
	}
	least := minMTU
	if cfg.hasV6() {
		least = header.IPv6MinimumMTU
	}
	if cfg.MTU < least || cfg.MTU > maxMTU {
		return fmt.Errorf("MTU %d is not between %d and %d", cfg.MTU, least, maxMTU)
	}
	if cfg.EthernetMTU < least {
		return fmt.Errorf("the MTU %d of the Ethernet is less than %d", cfg.EthernetMTU, least)
	}
	if cfg.Queue < 0 {
		return errors.New("negative Queue")
	}
	if err := cfg.checkAddrs(); err != nil {
		return err
	}
	if err := cfg.checkGateways(); err != nil {
		return err
	}
	return cfg.checkRoutes()
}

func (cfg *Config) setDefaults() {
	if cfg.EthernetMTU == 0 {
		cfg.EthernetMTU = netstack.DefaultMTU
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.Queue == 0 {
		cfg.Queue = defaultTunnelQueue
	}
	if cfg.Name == "" {
		cfg.Name = defaultName
	}
}

func (cfg *Config) checkAddrs() error {
	seen := make(map[netip.Addr]bool)
	for _, p := range slices.Concat(cfg.Addrs, cfg.TunnelAddrs) {
		a := p.Addr()
		switch {
		case !p.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.IsLoopback() || a.Zone() != "":
			return fmt.Errorf("%v is not an address of a device", p)
		case seen[a]:
			return fmt.Errorf("address %v is configured twice", a)
		case a.Is6() && !cfg.hasV6():
			return fmt.Errorf("address %v: the device has no IPv6 address on the Ethernet", a)
		}
		seen[a] = true
	}
	return nil
}

func (cfg *Config) checkGateways() error {
	for _, gw := range []netip.Addr{cfg.Gateway, cfg.Gateway6} {
		switch {
		case !gw.IsValid():
		case gw == cfg.Gateway && !gw.Is4(), gw == cfg.Gateway6 && (!gw.Is6() || gw.Is4In6()):
			return fmt.Errorf("gateway %v is of the other family", gw)
		case slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Addr() == gw }):
			return fmt.Errorf("gateway %v is this device", gw)
		case !gw.IsLinkLocalUnicast() && !slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Contains(gw) }):
			return fmt.Errorf("gateway %v is on no network of this device", gw)
		}
	}
	return nil
}

func (cfg *Config) checkRoutes() error {
	for _, r := range cfg.tunnelRoutes() {
		a := r.Addr()
		switch {
		case !r.IsValid() || a.Is4In6() || a.IsMulticast():
			return fmt.Errorf("%v is not a route", r)
		case a.Is6() && !cfg.hasV6():
			return fmt.Errorf("route %v: the device has no IPv6 address on the Ethernet", r)
		case r.Bits() == 0 && (a.Is4() && cfg.Gateway.IsValid() || a.Is6() && cfg.Gateway6.IsValid()):
			return fmt.Errorf("two default routes: %v into the tunnel and a gateway", r)
		}
		for _, p := range cfg.Addrs {
			if r.Bits() >= p.Bits() && p.Contains(a) {
				return fmt.Errorf("route %v: hosts of %v would look for it on the Ethernet", r, p.Masked())
			}
		}
	}
	return nil
}

// tunnelRoutes returns all networks behind the tunnel.
func (cfg *Config) tunnelRoutes() []netip.Prefix {
	routes := slices.Clone(cfg.Routes)
	for _, p := range cfg.TunnelAddrs {
		routes = append(routes, p.Masked())
	}
	return routes
}

// interfaceAddrs returns the addresses of one interface: its own, and those of the other
// one without their networks, so that the device answers at all of them on both sides and
// can report errors on a side where it has no address of its own.
func interfaceAddrs(own, other []netip.Prefix) []netip.Prefix {
	addrs := slices.Clone(own)
	for _, p := range other {
		if a := p.Addr(); !a.IsLinkLocalUnicast() {
			addrs = append(addrs, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return addrs
}

func (cfg *Config) hasV6() bool {
	return slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}
