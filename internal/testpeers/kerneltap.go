// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"testing"
)

// A KernelTapConfig describes a kernel station. The zero value gives it addresses that no other station of the
// process has, all of them neighbours: 10.99.0.0/16 and fd99::/64.
type KernelTapConfig struct {
	MAC   [6]byte        // default: a locally administered one
	Addrs []netip.Prefix // its addresses; without an IPv6 address the station does not speak IPv6 at all
	MTU   int            // default 1500, which is what fits through a vde_switch
}

// A KernelTap is a TCP/IP stack of the kernel in a namespace of its own, with one tap interface that a vde_plug
// connects to a VDE network.
type KernelTap struct {
	*Namespace
	plug  *Process
	name  string
	mac   [6]byte
	addrs []netip.Prefix
}

var stations atomic.Uint32

// StartKernelTap plugs a kernel TCP/IP stack into network, a locator or directory, until the test ends. It needs
// root. When it returns the interface is up, has carrier, has all addresses usable (there is no duplicate address
// detection), and the plug has joined the network.
//
// The station answers ARP, neighbour discovery and pings by itself. Of its own accord it sends nothing on IPv4; on
// IPv6 it sends a few multicast reports (MLD) and unsolicited advertisements, so tests that count frames should
// give it IPv4 addresses only.
func StartKernelTap(t testing.TB, network string, cfg KernelTapConfig) *KernelTap {
	t.Helper()
	needRealPeers(t, "vde_plug", "ip", "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "/dev/net/tun")
	id := stations.Add(1)
	if cfg.MAC == [6]byte{} {
		cfg.MAC = [6]byte{0x02, 0x99, 0, 0, byte(id >> 8), byte(id)}
	}
	if cfg.Addrs == nil {
		cfg.Addrs = []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 99, byte(id >> 8), byte(id)}), 16),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x99, 14: byte(id >> 8), 15: byte(id)}), 64),
		}
	}
	if cfg.MTU == 0 {
		cfg.MTU = 1500
	}
	s := &KernelTap{name: "vde0", mac: cfg.MAC, addrs: cfg.Addrs}
	s.Namespace = NewNamespace(t)
	if err := s.configure(cfg); err != nil {
		t.Fatal(err)
	}
	link, err := watchLink(s.Namespace, s.name)
	if err != nil {
		t.Fatal(err)
	}
	defer link.close()
	// The network first: vde_plug opens its locators in order, so once the tap has its carrier, the network
	// has been joined.
	s.plug = newProcess(t, ProcessConfig{
		Args:      []string{"vde_plug", "-D", "tap " + s.name, network, "tap://" + s.name},
		Namespace: s.Namespace,
	})
	if err := s.plug.start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := bounded(context.Background())
	defer cancel()
	if err := s.plug.await(ctx, link.waitRunning); err != nil {
		t.Fatalf("tap station on %s: %v", network, err)
	}
	return s
}

// configure makes the interface.
func (s *KernelTap) configure(cfg KernelTapConfig) error {
	v6 := false
	for _, a := range cfg.Addrs {
		v6 = v6 || a.Addr().Is6()
	}
	ip := func(args ...string) error {
		_, err := s.Exec(context.Background(), append([]string{"ip"}, args...)...)
		return err
	}
	if err := ip("tuntap", "add", "dev", s.name, "mode", "tap"); err != nil {
		return err
	}
	quiet := map[string]string{"disable_ipv6": "1"}
	if v6 {
		// No link-local address of the kernel's making, no questions for a router: both would be noise.
		quiet = map[string]string{"addr_gen_mode": "1", "accept_ra": "0", "router_solicitations": "0", "accept_dad": "0"}
	}
	for key, value := range quiet {
		if err := s.sysctl("net/ipv6/conf/"+s.name+"/"+key, value); err != nil && v6 {
			return err
		}
	}
	if err := ip("link", "set", "dev", s.name, "address", net.HardwareAddr(cfg.MAC[:]).String(), "mtu", strconv.Itoa(cfg.MTU)); err != nil {
		return err
	}
	for _, a := range cfg.Addrs {
		args := []string{"addr", "add", a.String(), "dev", s.name}
		if a.Addr().Is6() {
			args = append(args, "nodad")
		}
		if err := ip(args...); err != nil {
			return err
		}
	}
	return ip("link", "set", "dev", s.name, "up")
}

// Name returns the name of the interface, the same in each station.
func (s *KernelTap) Name() string { return s.name }

// MAC returns the station's Ethernet address.
func (s *KernelTap) MAC() [6]byte { return s.mac }

// Addrs returns the station's addresses.
func (s *KernelTap) Addrs() []netip.Prefix { return s.addrs }

// Addr4 returns the station's first IPv4 address, or the zero Addr.
func (s *KernelTap) Addr4() netip.Addr { return s.addr(netip.Addr.Is4) }

// Addr6 returns the station's first IPv6 address, or the zero Addr.
func (s *KernelTap) Addr6() netip.Addr { return s.addr(netip.Addr.Is6) }

func (s *KernelTap) addr(is func(netip.Addr) bool) netip.Addr {
	for _, a := range s.addrs {
		if is(a.Addr()) {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// Plug returns the vde_plug that connects the interface to the network. Stopping it takes the tap off the network.
func (s *KernelTap) Plug() *Process { return s.plug }

func (s *KernelTap) String() string {
	return fmt.Sprintf("%s %v %v", s.name, net.HardwareAddr(s.mac[:]), s.addrs)
}
