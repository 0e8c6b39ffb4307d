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

// A KernelTapConfig describes a kernel tap. The zero value gives it addresses in 10.99.0.0/16 and fd99::/64 that no
// other kernel tap of the process has.
type KernelTapConfig struct {
	MAC   [6]byte        // default: a locally administered one
	Addrs []netip.Prefix // its addresses; without an IPv6 address, IPv6 is disabled
	MTU   int            // default 1500, the largest that a vde_switch forwards
}

// A KernelTap is a TCP/IP stack of the kernel in a network namespace of its own, with one tap interface that a
// vde_plug connects to a VDE network.
type KernelTap struct {
	*Namespace
	plug  *Process
	name  string
	mac   [6]byte
	addrs []netip.Prefix
}

var kernelTaps atomic.Uint32

// StartKernelTap connects a TCP/IP stack of the kernel to network, a locator or directory, until the test ends. It
// needs root. When it returns, the interface is up and has carrier, its addresses are usable (there is no duplicate
// address detection), and vde_plug has joined the network.
//
// The kernel answers ARP, neighbour discovery and pings. It sends nothing unasked on IPv4. On IPv6 it sends a few
// multicast reports (MLD) and unsolicited advertisements, so tests that count frames should use IPv4 addresses
// only.
func StartKernelTap(t testing.TB, network string, cfg KernelTapConfig) *KernelTap {
	t.Helper()
	needRealPeers(t, "vde_plug", "ip", "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "/dev/net/tun")
	id := kernelTaps.Add(1)
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
	k := &KernelTap{name: "vde0", mac: cfg.MAC, addrs: cfg.Addrs}
	k.Namespace = NewNamespace(t)
	if err := k.configure(cfg); err != nil {
		t.Fatal(err)
	}
	link, err := watchLink(k.Namespace, k.name)
	if err != nil {
		t.Fatal(err)
	}
	defer link.close()
	// The network first: vde_plug opens its locators in order, so once the tap has its carrier, the network
	// has been joined.
	k.plug = newProcess(t, ProcessConfig{
		Args:      []string{"vde_plug", "-D", "tap " + k.name, network, "tap://" + k.name},
		Namespace: k.Namespace,
	})
	if err := k.plug.start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := bounded(context.Background())
	defer cancel()
	if err := k.plug.await(ctx, link.waitRunning); err != nil {
		t.Fatalf("kernel tap on %s: %v", network, err)
	}
	return k
}

// configure makes the interface.
func (k *KernelTap) configure(cfg KernelTapConfig) error {
	v6 := false
	for _, a := range cfg.Addrs {
		v6 = v6 || a.Addr().Is6()
	}
	ip := func(args ...string) error {
		_, err := k.Exec(context.Background(), append([]string{"ip"}, args...)...)
		return err
	}
	if err := ip("tuntap", "add", "dev", k.name, "mode", "tap"); err != nil {
		return err
	}
	quiet := map[string]string{"disable_ipv6": "1"}
	if v6 {
		// No link-local address and no router solicitations, which tests do not expect.
		quiet = map[string]string{"addr_gen_mode": "1", "accept_ra": "0", "router_solicitations": "0", "accept_dad": "0"}
	}
	for key, value := range quiet {
		if err := k.sysctl("net/ipv6/conf/"+k.name+"/"+key, value); err != nil && v6 {
			return err
		}
	}
	if err := ip("link", "set", "dev", k.name, "address", net.HardwareAddr(cfg.MAC[:]).String(), "mtu", strconv.Itoa(cfg.MTU)); err != nil {
		return err
	}
	for _, a := range cfg.Addrs {
		args := []string{"addr", "add", a.String(), "dev", k.name}
		if a.Addr().Is6() {
			args = append(args, "nodad")
		}
		if err := ip(args...); err != nil {
			return err
		}
	}
	return ip("link", "set", "dev", k.name, "up")
}

// Name returns the name of the interface, the same for all kernel taps.
func (k *KernelTap) Name() string { return k.name }

// MAC returns the Ethernet address of the interface.
func (k *KernelTap) MAC() [6]byte { return k.mac }

// Addrs returns the IP addresses of the interface.
func (k *KernelTap) Addrs() []netip.Prefix { return k.addrs }

// Addr4 returns the first IPv4 address, or the zero Addr.
func (k *KernelTap) Addr4() netip.Addr { return k.addr(netip.Addr.Is4) }

// Addr6 returns the first IPv6 address, or the zero Addr.
func (k *KernelTap) Addr6() netip.Addr { return k.addr(netip.Addr.Is6) }

func (k *KernelTap) addr(is func(netip.Addr) bool) netip.Addr {
	for _, a := range k.addrs {
		if is(a.Addr()) {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// Plug returns the vde_plug that connects the interface to the network. Stopping it takes the tap off the network.
func (k *KernelTap) Plug() *Process { return k.plug }

func (k *KernelTap) String() string {
	return fmt.Sprintf("%s %v %v", k.name, net.HardwareAddr(k.mac[:]), k.addrs)
}
