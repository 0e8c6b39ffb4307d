// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/netstack"
)

// TestDialFrom dials from an address, a port and both.
func TestDialFrom(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	server := host(t, ca, netstack.HostConfig{})
	second := netip.MustParsePrefix("10.99.150.1/16")
	lookup := func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{addr6(server), addr4(server)}, nil
	}
	client := host(t, cb, netstack.HostConfig{Addrs: append(addrs(), second), LookupNetIP: lookup})
	l := listen(t, server, "tcp", ":80")
	from6 := addr6(client)
	for i, local := range []netip.AddrPort{
		netip.AddrPortFrom(second.Addr(), 0), netip.AddrPortFrom(second.Addr(), 1000),
		netip.AddrPortFrom(from6, 0), netip.AddrPortFrom(from6, 1001),
		netip.AddrPortFrom(netip.Addr{}, 1002), netip.AddrPortFrom(netip.IPv4Unspecified(), 1003),
	} {
		for _, network := range []string{"tcp", "udp"} {
			c, err := client.DialFrom(bound(t), network, local, "server.test:80")
			if err != nil {
				t.Fatalf("%d %s: %v", i, network, err)
			}
			got := addrPortOf(c.LocalAddr())
			if a := local.Addr(); a.IsValid() && !a.IsUnspecified() && got.Addr() != a || local.Port() != 0 && got.Port() != local.Port() {
				t.Errorf("%d %s: connected from %v, not %v", i, network, got, local)
			}
			if network == "tcp" {
				accept(t, l)
			}
			c.Close()
		}
	}
	for local, want := range map[netip.AddrPort]syscall.Errno{
		netip.MustParseAddrPort("10.99.150.2:0"): syscall.EADDRNOTAVAIL,
	} {
		for _, network := range []string{"tcp", "udp"} {
			_, err := client.DialFrom(bound(t), network, local, netip.AddrPortFrom(addr4(server), 80).String())
			wantErrno(t, err, "dial", want)
		}
	}
	_, err := client.DialFrom(bound(t), "tcp", netip.AddrPortFrom(from6, 0), netip.AddrPortFrom(addr4(server), 80).String())
	if err == nil {
		t.Error("connected from IPv6 to IPv4")
	}
}

func addrPortOf(a net.Addr) netip.AddrPort {
	ap := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port())
}
