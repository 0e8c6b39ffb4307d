// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"net/netip"
	"testing"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// FuzzRouterAdvertisement sends a host router advertisements with arbitrary contents, and
// checks that it has only addresses, routes, name servers and an MTU that a host can have,
// and not more than it has room for.
func FuzzRouterAdvertisement(f *testing.F) {
	sw := vswitch.New(vswitch.Config{})
	f.Cleanup(func() { sw.Close() })
	r := startRouter(f, attach(f, sw), advertiseTo(advert(0, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever))), nil)
	h, err := netstack.NewHost(attach(f, sw), netstack.HostConfig{IPv6: netstack.IPv6SLAAC, IPv6Timeout: watchdog, MAC: macA})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	f.Add(byte(1), advert(0, 1800, prefixInfo("2001:db8:2::/64", onLink|autonomous, 100, 50), mtuOption(1400)))
	f.Add(byte(1), advert(0, 0, prefixInfo("ff02::/64", onLink|autonomous, forever, forever)))
	f.Add(byte(2), advert(0xc8, 1, rdnss(1, "fe80::1", "2001:db8::1"), routeInfo("2001:db8:ff::/48", 8, forever)))
	f.Add(byte(3), advert(0, 1800, mtuOption(0), []byte{25, 0}))
	f.Fuzz(func(t *testing.T, source byte, icmp []byte) {
		if len(icmp) < 4 || len(icmp) > 1400 {
			return
		}
		icmp[0] = routerAdvert
		r.t = t
		src := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: source})
		r.write(ndpFrame(macB, src, allNodes, 255, icmp))
		r.settle(eui64("fe80::/64", macA))
		if mtu := h.Endpoint().MTU(); mtu < 1280 || mtu > 1500 {
			t.Errorf("MTU %d", mtu)
		}
		addrs := h.Addrs()
		for _, p := range addrs {
			if a := p.Addr(); a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || p.Bits() != 64 {
				t.Errorf("address %v", p)
			}
		}
		for _, a := range h.DNS() {
			if a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || !a.Is6() {
				t.Errorf("name server %v", a)
			}
		}
		// While routes change, the host has old and new ones.
		if len(addrs) > 11 || len(h.DNS()) > 16 || len(routes6(h)) > 2+2*20 {
			t.Errorf("%d addresses, %d name servers, %d routes", len(addrs), len(h.DNS()), len(routes6(h)))
		}
	})
}
