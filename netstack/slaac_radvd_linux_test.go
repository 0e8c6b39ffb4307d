// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
)

// TestRadvd takes addresses, routes with preferences and name servers from the router
// advertisements of radvd on the kernel's TCP/IP stack. When radvd ends, it withdraws what
// it advertised, but for the addresses, which it deprecates.
func TestRadvd(t *testing.T) {
	testpeers.Need(t, "radvd", "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	t.Parallel()
	vnl := listeningSwitch(t)
	kernel := testpeers.StartKernelTap(t, vnl, testpeers.KernelTapConfig{
		Addrs: []netip.Prefix{netip.MustParsePrefix("fd98::1/64"), netip.MustParsePrefix("fe80::1/64")},
	})
	dir := t.TempDir()
	config := filepath.Join(dir, "radvd.conf")
	if err := os.WriteFile(config, []byte("interface "+kernel.Name()+radvdConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testpeers.StartProcess(t, testpeers.ProcessConfig{
		Args:      []string{"radvd", "--nodaemon", "--logmethod=stderr", "--config=" + config, "--pidfile=" + filepath.Join(dir, "pid")},
		Namespace: kernel.Namespace,
	})
	h, err := netstack.NewHostContext(bound(t), open(t, vnl), netstack.HostConfig{
		IPv6: netstack.IPv6SLAAC, IPv6Timeout: watchdog, MAC: netstack.StableMAC("radvd"),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, server.Log())
	}
	defer h.Close()
	for _, prefix := range []string{"fd98::/64", "fd97::/64"} {
		eventually(t, "an address in "+prefix, func() bool { return hasAddr(h, eui64(prefix, h.MAC())) })
	}
	if hasAddr(h, eui64("fd96::/64", h.MAC())) {
		t.Errorf("addresses %v: one in a prefix without the autonomous flag", h.Addrs())
	}
	if got := h.DNS(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("fd98::53"), netip.MustParseAddr("fd98::54")}) {
		t.Errorf("name servers %v", got)
	}
	if mtu := h.Endpoint().MTU(); mtu != 1400 {
		t.Errorf("MTU %d", mtu)
	}
	withdrawn := []string{"::/0 fe80::1", "2001:db8::/32 fe80::1"}
	for _, route := range append([]string{"fd98::/64 ::", "fd96::/64 ::"}, withdrawn...) {
		if got := routes6(h); !slices.Contains(got, route) {
			t.Errorf("routes %q, without %q", got, route)
		}
	}
	if slices.Contains(routes6(h), "fd97::/64 ::") {
		t.Errorf("routes %q: one to a prefix without the on-link flag", routes6(h))
	}
	if _, err := h.Ping(bound(t), kernel.Addr6()); err != nil {
		t.Error(err)
	}
	server.Stop()
	eventually(t, "no routes of the router and no name servers", func() bool {
		routes := routes6(h)
		return len(h.DNS()) == 0 && !slices.ContainsFunc(withdrawn, func(r string) bool { return slices.Contains(routes, r) })
	})
	if !hasAddr(h, eui64("fd98::/64", h.MAC())) {
		t.Errorf("addresses %v after the router has gone", h.Addrs())
	}
	if _, err := h.Ping(bound(t), kernel.Addr6()); err != nil {
		t.Errorf("after the router has gone: %v", err)
	}
}

// radvdConfig is what radvd advertises on an interface.
const radvdConfig = ` {
	AdvSendAdvert on;
	MinRtrAdvInterval 3;
	MaxRtrAdvInterval 10;
	AdvLinkMTU 1400;
	AdvDefaultPreference high;
	prefix fd98::/64 {};
	prefix fd97::/64 { AdvOnLink off; };
	prefix fd96::/64 { AdvAutonomous off; };
	route 2001:db8::/32 { AdvRoutePreference low; };
	RDNSS fd98::53 fd98::54 {};
};
`
