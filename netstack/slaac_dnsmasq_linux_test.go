// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
)

// TestDnsmasqRouter gets an address, a route, name servers and an MTU from the router
// advertisements of dnsmasq on the kernel's TCP/IP stack, and pings the router.
func TestDnsmasqRouter(t *testing.T) {
	testpeers.Need(t, "dnsmasq", "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	t.Parallel()
	vnl := listeningSwitch(t)
	kernel, _ := startDnsmasq6(t, vnl, "--dhcp-range=fd98::,ra-only,64,2m", "--dhcp-option=option6:dns-server,[fd98::53],[fe80::1]")
	h, err := netstack.NewHostContext(bound(t), open(t, vnl), netstack.HostConfig{
		IPv6: netstack.IPv6SLAAC, IPv6Timeout: watchdog, MAC: netstack.StableMAC("dnsmasq"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if !hasAddr(h, eui64("fd98::/64", h.MAC())) {
		t.Errorf("addresses %v", h.Addrs())
	}
	if got := h.DNS(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("fd98::53"), netip.MustParseAddr("fe80::1")}) {
		t.Errorf("name servers %v", got)
	}
	if mtu := h.Endpoint().MTU(); mtu != 1400 {
		t.Errorf("MTU %d", mtu)
	}
	if got := routes6(h); !slices.Contains(got, "::/0 fe80::1") || !slices.Contains(got, "fd98::/64 ::") {
		t.Errorf("routes %q", got)
	}
	if _, err := h.Ping(bound(t), kernel.Addr6()); err != nil {
		t.Error(err)
	}
	// The kernel defends the addresses that it has.
	_, err = netstack.NewHostContext(bound(t), open(t, vnl), netstack.HostConfig{
		Addrs: []netip.Prefix{netip.PrefixFrom(kernel.Addr6(), 64)}, DetectConflicts: true,
	})
	if !errors.Is(err, netstack.ErrAddressConflict) {
		t.Errorf("with the address of the kernel: %v", err)
	}
}

// startDnsmasq6 starts dnsmasq on a kernel with the addresses fd98::1 and fe80::1, as a
// router with an MTU of 1400.
func startDnsmasq6(t *testing.T, vnl string, args ...string) (*testpeers.KernelTap, *testpeers.Process) {
	t.Helper()
	kernel := testpeers.StartKernelTap(t, vnl, testpeers.KernelTapConfig{
		Addrs: []netip.Prefix{netip.MustParsePrefix("fd98::1/64"), netip.MustParsePrefix("fe80::1/64")},
	})
	return kernel, testpeers.StartProcess(t, testpeers.ProcessConfig{
		Args: append([]string{
			"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--port=0",
			"--log-facility=-", "--log-dhcp", "--interface=" + kernel.Name(), "--enable-ra", "--ra-param=" + kernel.Name() + ",mtu:1400,10,600",
		}, args...),
		Namespace: kernel.Namespace,
	})
}

// TestDnsmasqDHCPv6 gets an address by DHCPv6 from dnsmasq and releases it, and gets name
// servers only.
func TestDnsmasqDHCPv6(t *testing.T) {
	testpeers.Need(t, "dnsmasq", "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	t.Parallel()
	for _, tc := range []struct{ name, option string }{
		{"stateful", "--dhcp-range=fd98::50,fd98::60,64,2m"},
		{"stateless", "--dhcp-range=fd98::,ra-stateless,64,2m"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			vnl := listeningSwitch(t)
			leases := filepath.Join(t.TempDir(), "leases")
			kernel, server := startDnsmasq6(t, vnl, tc.option, "--dhcp-option=option6:dns-server,[fd98::53]", "--dhcp-leasefile="+leases)
			h, err := netstack.NewHostContext(bound(t), open(t, vnl), netstack.HostConfig{
				IPv6: netstack.IPv6Auto, IPv6Timeout: watchdog, MAC: netstack.StableMAC("dnsmasq"), Hostname: "web",
			})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if got := h.DNS(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("fd98::53")}) {
				t.Errorf("name servers %v", got)
			}
			if _, err := h.Ping(bound(t), kernel.Addr6()); err != nil {
				t.Error(err)
			}
			if tc.name == "stateless" {
				if !hasAddr(h, eui64("fd98::/64", h.MAC())) {
					t.Errorf("addresses %v", h.Addrs())
				}
				awaitLog(t, server, "information request", func(log string) bool { return strings.Contains(log, "DHCPINFORMATION-REQUEST") })
				return
			}
			leased := slices.IndexFunc(h.Addrs(), func(p netip.Prefix) bool { return p.Bits() == 128 })
			if leased < 0 || len(h.Addrs()) != 2 {
				t.Fatalf("addresses %v", h.Addrs())
			}
			if b, err := os.ReadFile(leases); err != nil || !strings.Contains(string(b), h.Addrs()[leased].Addr().String()+" web ") {
				t.Errorf("leases %q, %v", b, err)
			}
			h.Close()
			awaitLog(t, server, "release", func(log string) bool { return strings.Contains(log, "DHCPRELEASE") })
		})
	}
}
