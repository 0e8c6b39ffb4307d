// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

const (
	testPrefix = "2001:db8:1::/64"
	forever    = ^uint32(0)
)

var linkRoutes = []string{"fe80::/64 ::", "ff00::/8 ::"} // of each host

// slaacHost returns a host with macA whose router sends advert.
func slaacHost(t *testing.T, cfg netstack.HostConfig, advert []byte) (*netstack.Host, *ndpRouter) {
	t.Helper()
	ca, cb := pair(t)
	r := startRouter(t, cb, advertiseTo(advert), nil)
	cfg.IPv6, cfg.IPv6Timeout, cfg.MAC = netstack.IPv6SLAAC, watchdog, macA
	h, err := netstack.NewHost(ca, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, r
}

// TestSLAAC checks what a router advertisement gives a host, and what another one takes
// away.
func TestSLAAC(t *testing.T) {
	t.Parallel()
	h, r := slaacHost(t, netstack.HostConfig{DNS: []netip.Addr{netip.MustParseAddr("fd00::53")}}, advert(0, 1800,
		prefixInfo(testPrefix, onLink|autonomous, forever, forever),
		prefixInfo("2001:db8:2::/64", onLink, forever, forever),
		mtuOption(1400), rdnss(forever, "2001:db8:1::53", "fe80::53"), routeInfo("2001:db8:ff::/48", 0, forever)))
	want := []netip.Prefix{netip.PrefixFrom(eui64(testPrefix, macA), 64), netip.PrefixFrom(eui64("fe80::/64", macA), 64)}
	for _, p := range want {
		if !slices.Contains(h.Addrs(), p) {
			t.Errorf("no %v in %v", p, h.Addrs())
		}
	}
	if len(h.Addrs()) != len(want) {
		t.Errorf("addresses %v", h.Addrs())
	}
	if got := h.DNS(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("fd00::53"), netip.MustParseAddr("2001:db8:1::53"), netip.MustParseAddr("fe80::53")}) {
		t.Errorf("name servers %v", got)
	}
	if mtu := h.Endpoint().MTU(); mtu != 1400 {
		t.Errorf("MTU %d", mtu)
	}
	all := slices.Sorted(slices.Values(append([]string{"2001:db8:1::/64 ::", "2001:db8:2::/64 ::", "2001:db8:ff::/48 fe80::1", "::/0 fe80::1"}, linkRoutes...)))
	if got := slices.Sorted(slices.Values(routes6(h))); !slices.Equal(got, all) {
		t.Errorf("routes %q", got)
	}
	if s := h.Stats(); s.RouterAdvertisements == 0 || s.AddressConflicts != 0 {
		t.Errorf("%+v", s)
	}
	r.send(advert(0, 0, prefixInfo("2001:db8:2::/64", onLink, 0, 0), rdnss(0, "2001:db8:1::53"), routeInfo("2001:db8:ff::/48", 0, 0)))
	eventually(t, "withdrawn", func() bool {
		return len(h.DNS()) == 2 && slices.Equal(slices.Sorted(slices.Values(routes6(h))), append([]string{"2001:db8:1::/64 ::"}, linkRoutes...))
	})
	if !hasAddr(h, want[0].Addr()) {
		t.Error("lost the address")
	}
}

// TestSLAACExpiry sends lifetimes of a second beside others without end.
func TestSLAACExpiry(t *testing.T) {
	t.Parallel()
	h, r := slaacHost(t, netstack.HostConfig{}, advert(0, 0, prefixInfo(testPrefix, onLink|autonomous, forever, forever)))
	r.send(advert(0, 1, prefixInfo("2001:db8:2::/64", onLink|autonomous, 1, 1), prefixInfo("2001:db8:3::/64", autonomous, forever, 0),
		rdnss(1, "fe80::2"), rdnss(forever, "fe80::3")))
	eventually(t, "the second advertisement", func() bool {
		return hasAddr(h, eui64("2001:db8:3::/64", macA)) && slices.Contains(h.DNS(), netip.MustParseAddr("fe80::3"))
	})
	eventually(t, "the expiry", func() bool {
		return !hasAddr(h, eui64("2001:db8:2::/64", macA)) && len(h.DNS()) == 1 && len(routes6(h)) == 3
	})
	// RFC 4862, section 5.5.3: a forged lifetime does not take an address away.
	r.send(advert(0, 0, prefixInfo(testPrefix, onLink|autonomous, 0, 0)))
	eventually(t, "the prefix off the link", func() bool { return len(routes6(h)) == 2 })
	if !hasAddr(h, eui64(testPrefix, macA)) {
		t.Error("lost the address")
	}
}

// TestRouterPreference checks the order of default routes: that of the configuration, then
// by preference (RFC 4191).
func TestRouterPreference(t *testing.T) {
	t.Parallel()
	h, r := slaacHost(t, netstack.HostConfig{
		Addrs: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::5/64")}, Gateway6: netip.MustParseAddr("fe80::fe"),
	}, advert(0x18, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever)))
	for i, preference := range []byte{0, 8} {
		r.write(ndpFrame(macB, netip.MustParseAddr(fmt.Sprintf("fe80::%d", 2+i)), allNodes, 255, advert(preference, 1800)))
	}
	defaults := func() (gateways []string) {
		for _, r := range routes6(h) {
			if gw, ok := strings.CutPrefix(r, "::/0 "); ok {
				gateways = append(gateways, gw)
			}
		}
		return gateways
	}
	eventually(t, "by preference", func() bool { return slices.Equal(defaults(), []string{"fe80::fe", "fe80::3", "fe80::2", "fe80::1"}) })
	r.send(advert(8, 1800))
	eventually(t, "first found first", func() bool { return slices.Equal(defaults(), []string{"fe80::fe", "fe80::1", "fe80::3", "fe80::2"}) })
	r.send(advert(0, 0))
	eventually(t, "without the router", func() bool { return slices.Equal(defaults(), []string{"fe80::fe", "fe80::3", "fe80::2"}) })
	r.write(ndpFrame(macB, netip.MustParseAddr("fe80::fe"), allNodes, 255, advert(0, 1800)))
	r.write(ndpFrame(macB, netip.MustParseAddr("fe80::fe"), allNodes, 255, advert(0, 0, rdnss(forever, "fe80::53"))))
	eventually(t, "the last advertisement", func() bool { return len(h.DNS()) == 1 })
	if got := defaults(); got[0] != "fe80::fe" {
		t.Errorf("a router advertisement removed the gateway of the configuration: %v", got)
	}
	if !hasAddr(h, netip.MustParseAddr("2001:db8:1::5")) || !hasAddr(h, eui64(testPrefix, macA)) {
		t.Errorf("addresses %v", h.Addrs())
	}
}

// TestSLAACMissing checks the error of NewHostContext for each thing that it can wait for.
func TestSLAACMissing(t *testing.T) {
	t.Parallel()
	lost := eui64(testPrefix, macA)
	for _, tc := range []struct {
		name   string
		advert []byte // nil: none
		claims bool   // another host has the address
		want   string
	}{
		{"router", nil, false, "no router advertisement"},
		{"prefix", advert(0, 1800, prefixInfo(testPrefix, onLink, forever, forever)), false, "no router advertises a prefix"},
		{"address", advert(0, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever)), true, lost.String() + ": another host has the address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ca, cb := pair(t)
			r := startRouter(t, cb, func(r *ndpRouter, m ndpMessage) {
				switch {
				case m.typ == routerSolicit && tc.advert != nil:
					r.send(tc.advert)
				case m.typ == neighborSolicit && m.target == lost && tc.claims:
					r.claim(lost)
				}
			}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				_, err := netstack.NewHostContext(ctx, ca, netstack.HostConfig{IPv6: netstack.IPv6SLAAC, IPv6Timeout: time.Hour, MAC: macA})
				done <- err
			}()
			r.await("router solicitation", func(m ndpMessage) bool { return m.typ == routerSolicit && m.hopLimit == 255 })
			if tc.claims {
				r.await("solicitation", func(m ndpMessage) bool { return m.typ == neighborSolicit && m.target == lost })
			}
			r.settle(eui64("fe80::/64", macA))
			cancel()
			err := <-done
			if !errors.Is(err, context.Canceled) || !errors.Is(err, netstack.ErrNoIPv6Address) || !strings.Contains(err.Error(), tc.want) ||
				errors.Is(err, netstack.ErrAddressConflict) != tc.claims || strings.Count(err.Error(), "netstack: ") != 1 {
				t.Errorf("%v, want %q", err, tc.want)
			}
			if ca.Err() != nil {
				t.Error("the connection has ended")
			}
		})
	}
	ca, _ := pair(t)
	_, err := netstack.NewHost(ca, netstack.HostConfig{IPv6: netstack.IPv6SLAAC, IPv6Timeout: time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, netstack.ErrNoIPv6Address) {
		t.Error(err)
	}
}

// TestSLAACSecret checks addresses by RFC 7217: the same for the same secret, and others
// while other hosts have them.
func TestSLAACSecret(t *testing.T) {
	t.Parallel()
	first := func(claims int) (tried []netip.Addr, h *netstack.Host) {
		ca, cb := pair(t)
		lost := make(map[netip.Addr]bool)
		r := startRouter(t, cb, func(r *ndpRouter, m ndpMessage) {
			switch {
			case m.typ == routerSolicit:
				r.send(advert(0, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever)))
			case m.typ == neighborSolicit && netip.MustParsePrefix(testPrefix).Contains(m.target):
				if !lost[m.target] && len(lost) < claims {
					lost[m.target] = true
				}
				if lost[m.target] {
					r.claim(m.target)
				}
			}
		}, nil)
		h, err := netstack.NewHost(ca, netstack.HostConfig{
			IPv6: netstack.IPv6SLAAC, IPv6Timeout: watchdog, IPv6Secret: []byte("0123456789abcdef"), MAC: macA,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		for len(tried) <= claims {
			m := r.await("solicitation", func(m ndpMessage) bool {
				return m.typ == neighborSolicit && netip.MustParsePrefix(testPrefix).Contains(m.target) && !slices.Contains(tried, m.target)
			})
			tried = append(tried, m.target)
		}
		return tried, h
	}
	stable, h := first(0)
	if !hasAddr(h, stable[0]) || stable[0] == eui64(testPrefix, macA) || hasAddr(h, eui64("fe80::/64", macA)) {
		t.Errorf("addresses %v", h.Addrs())
	}
	tried, h := first(3)
	if tried[0] != stable[0] || !hasAddr(h, tried[3]) || hasAddr(h, tried[0]) {
		t.Errorf("tried %v, after %v; has %v", tried, stable, h.Addrs())
	}
	if s := h.Stats(); s.AddressConflicts != 3 {
		t.Errorf("%d conflicts", s.AddressConflicts)
	}
}

// A hostileAdvert is a router advertisement that a host has to ignore.
type hostileAdvert struct {
	name     string
	frame    []byte
	filtered bool // before the stack
}

func hostileAdverts() []hostileAdvert {
	bad := advert(0, 1800, prefixInfo("2001:db8:bad::/64", onLink|autonomous, forever, forever), mtuOption(1300), rdnss(forever, "fe80::bad"))
	stranger := netip.MustParseAddr("fe80::bad")
	badPrefix := func(p string, bits byte) []byte {
		o := prefixInfo(p, onLink|autonomous, forever, forever)
		o[2] = bits
		return o
	}
	from := func(src netip.Addr, icmp []byte) []byte { return ndpFrame(macB, src, allNodes, 255, icmp) }
	code := slices.Clone(bad)
	code[1] = 1
	wrong := from(stranger, bad)
	wrong[14+40+2] ^= 0xff
	return []hostileAdvert{
		{"hop limit", ndpFrame(macB, stranger, allNodes, 254, bad), false},
		{"code", from(stranger, code), false},
		{"checksum", wrong, false},
		{"global source", from(netip.MustParseAddr("2001:db8::1"), bad), false},
		{"own source", from(eui64("fe80::/64", macA), bad), true},
		{"other group", ndpFrame(macB, stranger, netip.MustParseAddr("ff02::1:ff00:77"), 255, bad), false},
		{"length 0", from(stranger, append(slices.Clone(bad), 25, 0, 0, 0, 0, 0, 0, 0)), true},
		{"truncated option", from(stranger, append(slices.Clone(bad), 25, 3, 0, 0, 0, 0, 0, 0)), true},
		{"short", from(stranger, bad[:15]), true},
		{"prefix option of 8 bytes", from(stranger, append(slices.Clone(bad), 3, 1, 64, 0xc0, 0, 0, 0, 0)), true},
		{"129 bits", from(stranger, append(slices.Clone(bad), badPrefix("2001:db8:bad::/64", 129)...)), true},
		{"multicast prefix", from(stranger, append(slices.Clone(bad), badPrefix("ff02::/64", 64)...)), true},
		{"hop-by-hop header", extended(from(stranger, bad), 0, []byte{58, 0, 1, 4, 0, 0, 0, 0}), true},
		{"destination options", extended(from(stranger, bad), 60, []byte{58, 0, 1, 4, 0, 0, 0, 0}), true},
		{"experimental header", extended(from(stranger, bad), 253, []byte{58, 9, 0, 0, 0, 0, 0, 0}), true},
		{"fragment", extended(from(stranger, bad), 44, []byte{58, 0, 0, 0, 0, 0, 0, 1}), true},
		{"lifetimes of 0", from(stranger, advert(0, 0, prefixInfo("2001:db8:bad::/64", onLink|autonomous, 0, 0), rdnss(0, "fe80::bad"))), false},
		{"preferred longer than valid", from(stranger, advert(0, 0, prefixInfo("2001:db8:bad::/64", autonomous, 1, 2))), false},
		{"link-local prefix", from(stranger, advert(0, 0, prefixInfo("fe80::/64", onLink|autonomous, forever, forever))), false},
		{"not 64 bits", from(stranger, advert(0, 0, prefixInfo("2001:db8:bad::/65", autonomous, forever, forever))), false},
		{"MTU", from(stranger, advert(0, 0, mtuOption(1279))), false},
		{"multicast and loopback name servers", from(stranger, advert(0, 0, rdnss(forever, "::1"), rdnss(forever, "ff02::1"))), false},
		{"IPv4 name server", from(stranger, advert(0, 0, rdnss(forever, "::ffff:9.9.9.9"))), false},
		{"routes on the link", from(stranger, advert(0, 0, routeInfo("fe80::/65", 8, forever), routeInfo("ff02::/16", 8, forever))), false},
	}
}

// TestHostileAdvertisements sends router advertisements that a host has to ignore.
func TestHostileAdvertisements(t *testing.T) {
	t.Parallel()
	good := prefixInfo(testPrefix, onLink|autonomous, forever, forever)
	h, r := slaacHost(t, netstack.HostConfig{}, advert(0, 1800, good, mtuOption(1400)))
	for _, tc := range hostileAdverts() {
		before := h.Endpoint().Stats().RxFiltered
		r.write(tc.frame)
		r.settle(eui64("fe80::/64", macA))
		if got := h.Endpoint().Stats().RxFiltered - before; got != 0 != tc.filtered {
			t.Errorf("%s: %d frames filtered", tc.name, got)
		}
		if mtu := h.Endpoint().MTU(); mtu != 1400 {
			t.Errorf("%s: MTU %d", tc.name, mtu)
		}
	}
	r.send(advert(0, 1800, mtuOption(9000), rdnss(forever, "fe80::53")))
	eventually(t, "the last advertisement", func() bool { return slices.Contains(h.DNS(), netip.MustParseAddr("fe80::53")) })
	if mtu := h.Endpoint().MTU(); mtu != 1500 {
		t.Errorf("MTU %d after one of 9000", mtu)
	}
	if got := h.DNS(); len(got) != 1 {
		t.Errorf("name servers %v", got)
	}
	if got := h.Addrs(); len(got) != 2 {
		t.Errorf("addresses %v", got)
	}
	if got := routes6(h); len(got) != 4 {
		t.Errorf("routes %q", got)
	}
}

// extended inserts an extension header into the packet of f.
func extended(f []byte, next byte, ext []byte) []byte {
	n := len(f) - 14 - 40 + len(ext)
	f = slices.Insert(f, 54, ext...)
	f[18], f[19], f[20] = byte(n>>8), byte(n), next
	return f
}

// TestSLAACBound sends 10,000 routers, each with a prefix, a route and a name server of its
// own.
func TestSLAACBound(t *testing.T) {
	t.Parallel()
	h, r := slaacHost(t, netstack.HostConfig{}, advert(0, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever)))
	for i := range 10000 {
		icmp := advert(0, 1800, prefixInfo(fmt.Sprintf("2001:db8:%x::/64", 2+i), onLink|autonomous, forever, forever),
			routeInfo(fmt.Sprintf("2001:db9:%x::/48", i), 8, forever), rdnss(forever, fmt.Sprintf("2001:dba::%x", 1+i)))
		r.write(ndpFrame(macB, netip.MustParseAddr(fmt.Sprintf("fe80::2:%x", i)), allNodes, 255, icmp))
	}
	r.settle(eui64("fe80::/64", macA))
	eventually(t, "as many as there is room for", func() bool { return len(h.Addrs()) == 10 && len(h.DNS()) == 16 && len(routes6(h)) == 22 })
	withdrawal := advert(0, 0, rdnss(0, h.DNS()[0].String()))
	eventually(t, "a withdrawal in a full table", func() bool {
		r.send(withdrawal) // the answer to a solicitation may come after it
		return len(h.DNS()) == 15 && len(routes6(h)) == 21
	})
}

// TestDetectConflicts6 starts hosts with IPv6 addresses that another host has, or that it
// probes for at the same time.
func TestDetectConflicts6(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr("fd00::5")
	ll := eui64("fe80::/64", macA)
	for _, tc := range []struct {
		name string
		lost netip.Addr
		mode netstack.IPv6Mode
		send func(r *ndpRouter, a netip.Addr)
	}{
		{"none", netip.Addr{}, netstack.IPv6Static, nil},
		{"address", addr, netstack.IPv6Static, (*ndpRouter).claim},
		{"probe", addr, netstack.IPv6Static, func(r *ndpRouter, a netip.Addr) {
			r.write(ndpFrame(macB, netip.IPv6Unspecified(), netip.MustParseAddr("ff02::1:ff00:5"), 255, solicitation(a, 14, 1, 1, 2, 3, 4, 5, 6)))
		}},
		{"link-local", ll, netstack.IPv6Static, (*ndpRouter).claim},
		{"address with SLAAC", addr, netstack.IPv6SLAAC, (*ndpRouter).claim},
		{"link-local with SLAAC", ll, netstack.IPv6SLAAC, (*ndpRouter).claim},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ca, cb := pair(t)
			r := startRouter(t, cb, func(r *ndpRouter, m ndpMessage) {
				if m.typ == neighborSolicit && m.target == tc.lost {
					tc.send(r, m.target)
				}
			}, nil)
			h, err := netstack.NewHost(ca, netstack.HostConfig{
				Addrs: []netip.Prefix{netip.PrefixFrom(addr, 64)}, DetectConflicts: tc.mode == netstack.IPv6Static,
				IPv6: tc.mode, IPv6Timeout: watchdog, MAC: macA,
			})
			if tc.lost.IsValid() {
				if !errors.Is(err, netstack.ErrAddressConflict) || !strings.Contains(err.Error(), tc.lost.String()+": ") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if !hasAddr(h, addr) || !hasAddr(h, ll) {
				t.Errorf("addresses %v", h.Addrs())
			}
			for range 3 {
				m := r.await("probe", func(m ndpMessage) bool { return m.typ == neighborSolicit && m.target == addr })
				if m.src != netip.IPv6Unspecified() || m.hopLimit != 255 {
					t.Errorf("probe %+v", m)
				}
			}
		})
	}
}

// TestSolicitAfterRestart restarts the switch of a host, which then asks for the routers
// that are there now.
func TestSolicitAfterRestart(t *testing.T) {
	t.Parallel()
	sw := &inProcessSwitch{t: t, dir: filepath.Join(testutil.ShortDir(t), "sw")}
	sw.Restart()
	routed := advert(0, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever))
	startRouter(t, open(t, sw.VNL()), advertiseTo(routed), nil)
	h, err := netstack.NewHost(open(t, sw.VNL(), vde.WithReconnect(vde.ReconnectPolicy{})), netstack.HostConfig{IPv6: netstack.IPv6SLAAC, IPv6Timeout: watchdog, MAC: macA})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	sw.Kill()
	sw.Restart()
	startRouter(t, open(t, sw.VNL()), func(r *ndpRouter, m ndpMessage) {
		if m.src.IsUnspecified() { // the stack, which asks when the host starts, has an address by now
			advertiseTo(append(routed, rdnss(forever, "fe80::53")...))(r, m)
		}
	}, nil)
	eventually(t, "an advertisement of the new router", func() bool { return len(h.DNS()) == 1 })
}

func TestIPv6ModeText(t *testing.T) {
	t.Parallel()
	for mode, want := range map[netstack.IPv6Mode]string{netstack.IPv6Static: "static", netstack.IPv6SLAAC: "slaac", netstack.IPv6Auto: "auto"} {
		b, err := mode.MarshalText()
		if err != nil || string(b) != want || mode.String() != want {
			t.Errorf("%d is %q, %v", mode, b, err)
		}
		var got netstack.IPv6Mode
		if err := got.UnmarshalText(b); err != nil || got != mode {
			t.Errorf("%q became %v, %v", b, got, err)
		}
	}
	if s := netstack.IPv6Mode(7).String(); s != "IPv6Mode(7)" {
		t.Errorf("got %q", s)
	}
	if _, err := netstack.IPv6Mode(-1).MarshalText(); err == nil {
		t.Error("an unknown mode has a text form")
	}
	m := netstack.IPv6Auto
	if err := m.UnmarshalText([]byte("dhcp")); err == nil || m != netstack.IPv6Auto {
		t.Errorf("%v, %v", m, err)
	}
}

// TestEUI64 checks the helper against the example in RFC 4291, appendix A.
func TestEUI64(t *testing.T) {
	if a := eui64("fe80::/64", frame.MAC{0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde}); a.String() != "fe80::3656:78ff:fe9a:bcde" {
		t.Error(a)
	}
}
