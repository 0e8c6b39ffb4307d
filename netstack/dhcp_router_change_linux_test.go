// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/go-vde/sdk/netstack"
)

// dhcpRoutes returns the gateways of h to networks of 0 and 16 bits, in order, and
// 0.0.0.0 for a network of its own.
func dhcpRoutes(h *netstack.Host) (gateways []string) {
	for _, r := range h.Stack().GetRouteTable() {
		if bits := r.Destination.Prefix(); r.Destination.ID().Len() == 4 && (bits == 0 || bits == 16) {
			gw := netip.IPv4Unspecified()
			if r.Gateway.Len() == 4 {
				gw = netip.AddrFrom4(r.Gateway.As4())
			}
			gateways = append(gateways, gw.String())
		}
	}
	return gateways
}

// TestDHCPRouterChanges renews a lease with another router, and then loses it. The routes
// of the configuration, to the same networks, must stay.
func TestDHCPRouterChanges(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	renewals := 0
	s := startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if !m.ClientIPAddr.IsUnspecified() {
			renewals++
		}
		switch {
		case m.MessageType() == dhcpv4.MessageTypeRelease || m.MessageType() == dhcpv4.MessageTypeDiscover && renewals > 0:
			return nil
		case renewals > 1:
			return s.make(m, dhcpv4.MessageTypeNak)
		}
		return s.reply(m, "10.7.1.2", lease(time.Hour), dhcpv4.WithGeneric(dhcpv4.OptionRenewTimeValue, []byte{0, 0, 0, 1}),
			dhcpv4.WithRouter(net.IPv4(10, 7, 0, byte(1+renewals))))
	})
	h, err := netstack.NewHost(ca, netstack.HostConfig{
		DHCP: true, DHCPTimeout: watchdog, MAC: macA, Addrs: []netip.Prefix{netip.MustParsePrefix("10.7.9.9/16")}, Gateway: netip.MustParseAddr("10.7.0.9"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s.await(dhcpv4.MessageTypeRequest)
	eventually(t, "the second router", func() bool {
		return slices.Equal(dhcpRoutes(h), []string{"0.0.0.0", "0.0.0.0", "10.7.0.9", "10.7.0.2"})
	})
	eventually(t, "no lease", func() bool { return len(h.Addrs()) == 1 })
	eventually(t, "the routes of the configuration", func() bool { return slices.Equal(dhcpRoutes(h), []string{"0.0.0.0", "10.7.0.9"}) })
}
