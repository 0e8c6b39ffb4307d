// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
)

// TestDHCPRenewalKeeps renews a lease by a message with other name servers, and
// without a mask, a router and an MTU: these stay. The renewal is sent to the server
// alone, and Close releases the lease.
func TestDHCPRenewalKeeps(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	// Renewed after a second, and not at its end yet on a machine that is busy.
	times := []dhcpv4.Modifier{lease(time.Hour), dhcpv4.WithGeneric(dhcpv4.OptionRenewTimeValue, []byte{0, 0, 0, 1})}
	s := startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		switch {
		case m.MessageType() == dhcpv4.MessageTypeRelease:
			return nil
		case !m.ClientIPAddr.IsUnspecified(): // a renewal
			return s.make(m, dhcpv4.MessageTypeAck, append(times, dhcpv4.WithYourIP(net.IPv4(10, 7, 1, 2)), dhcpv4.WithDNS(net.IPv4(10, 7, 0, 54)))...)
		}
		return s.reply(m, "10.7.1.2", append(times, dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{1280 >> 8, 1280 & 0xff}))...)
	})
	own := netip.MustParseAddr("1.1.1.1")
	h, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true, MAC: macA, Hostname: "web", ClientID: []byte{0, 'w'}, DNS: []netip.Addr{own}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	bound := bound(t)
	for range 3 {
		m := s.await(dhcpv4.MessageTypeRequest)
		if m.HostName() != "web" || !slices.Equal(m.Options.Get(dhcpv4.OptionClientIdentifier), []byte{0, 'w'}) {
			t.Errorf("host name %q, identifier %q", m.HostName(), m.Options.Get(dhcpv4.OptionClientIdentifier))
		}
	}
	for servers := []netip.Addr{own, netip.MustParseAddr("10.7.0.54")}; !slices.Equal(h.DNS(), servers); { // until a renewal was applied
		if bound.Err() != nil {
			t.Fatalf("name servers %v, want %v", h.DNS(), servers)
		}
		runtime.Gosched()
	}
	if got := h.Addrs(); !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("10.7.1.2/16")}) {
		t.Errorf("addresses %v", got)
	}
	if got := h.Endpoint().MTU(); got != 1280 {
		t.Errorf("MTU %d", got)
	}
	if s.unicast.Load() == 0 {
		t.Error("no renewal was unicast")
	}
	if _, err := h.Dial("udp", "192.0.2.1:9"); err != nil {
		t.Errorf("the default route is gone: %v", err)
	}
	h.Close()
	if m := s.await(dhcpv4.MessageTypeRelease); !m.ClientIPAddr.Equal(net.IPv4(10, 7, 1, 2)) || m.ServerIdentifier() == nil {
		t.Errorf("released %v at %v", m.ClientIPAddr, m.ServerIdentifier())
	}
}

// TestDHCPRoutes gives a host the mask and routes that clouds give: a router outside of
// the network of the address, with and without classless routes (RFC 3442).
func TestDHCPRoutes(t *testing.T) {
	t.Parallel()
	gw := net.IPv4(10, 7, 0, 1)
	for _, tc := range []struct {
		name string
		mods []dhcpv4.Modifier
		mtu  []byte
		want uint32
	}{
		{"router", nil, []byte{0, 68}, 1500},
		{"classless", []dhcpv4.Modifier{dhcpv4.WithRouter(net.IPv4(10, 7, 1, 2)), dhcpv4.WithOption(dhcpv4.OptClasslessStaticRoute(
			&dhcpv4.Route{Dest: &net.IPNet{IP: gw, Mask: net.CIDRMask(32, 32)}, Router: net.IPv4zero},
			&dhcpv4.Route{Dest: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}, Router: gw}))}, []byte{0xff, 0xff}, 1500},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ca, cb := pair(t)
			startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
				return s.reply(m, "10.7.1.2", append([]dhcpv4.Modifier{lease(time.Hour), dhcpv4.WithNetmask(net.CIDRMask(32, 32)),
					dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, tc.mtu)}, tc.mods...)...)
			})
			h, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			for _, to := range []string{"10.7.0.1:9", "192.0.2.1:9"} {
				if _, err := h.Dial("udp", to); err != nil {
					t.Error(err)
				}
			}
			if got := h.Endpoint().MTU(); got != tc.want {
				t.Errorf("MTU %d, want %d", got, tc.want)
			}
		})
	}
}

// TestDHCPDecline offers an address that another host has.
func TestDHCPDecline(t *testing.T) {
	t.Parallel()
	sw := hub(t)
	host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.7.1.2/16")}})
	s := startDHCPServer(t, attach(t, sw), func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		if m.MessageType() == dhcpv4.MessageTypeDecline {
			return nil
		}
		return s.reply(m, "10.7.1.2", lease(time.Hour))
	})
	h, err := netstack.NewHost(attach(t, sw), netstack.HostConfig{DHCP: true, MAC: frame.MAC{2, 7}, DHCPTimeout: 8 * time.Second})
	if err == nil {
		h.Close()
	}
	if !errors.Is(err, netstack.ErrAddressConflict) || !errors.Is(err, netstack.ErrNoLease) {
		t.Error(err)
	}
	if m := s.await(dhcpv4.MessageTypeDecline); !m.RequestedIPAddress().Equal(net.IPv4(10, 7, 1, 2)) {
		t.Errorf("declined %v", m.RequestedIPAddress())
	}
}
