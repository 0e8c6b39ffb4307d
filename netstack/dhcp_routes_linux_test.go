// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// TestDHCPRoutesBounded checks how many routes a lease may add, if routers are outside
// of the network, so that a route to the router is added too. A route is never there
// without the one to its router.
func TestDHCPRoutesBounded(t *testing.T) {
	prefix := netip.MustParsePrefix("10.7.1.2/24")
	for _, inside := range []int{0, maxRoutes - 1, maxRoutes, maxRoutes + 1} {
		var all []*dhcpv4.Route
		for i := range 2 * maxRoutes {
			router := net.IPv4(10, 7, 1, 1)
			if i >= inside {
				router = net.IPv4(10, 8, 0, byte(i+1))
			}
			all = append(all, &dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4(10, 9, byte(i), 0), Mask: net.CIDRMask(24, 32)}, Router: router})
		}
		ack, err := dhcpv4.New(dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(all...)))
		if err != nil {
			t.Fatal(err)
		}
		routes := routesOf(ack, prefix)
		if len(routes) > maxRoutes || len(routes) < maxRoutes-1 {
			t.Errorf("%d routers in the network: %d routes, want %d at most", inside, len(routes), maxRoutes)
		}
		for _, r := range routes {
			gw := netipAddr(r.Gateway)
			if r.Gateway.BitLen() == 0 || prefix.Contains(gw) {
				continue
			}
			to := subnet(netip.PrefixFrom(gw, 32))
			if !slices.ContainsFunc(routes, func(d tcpip.Route) bool { return d.Destination.Equal(to) && d.Gateway.BitLen() == 0 }) {
				t.Errorf("no route to the router %v", gw)
			}
		}
	}
}
