// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/wgtun"
)

// TestConfig gives New configurations that cannot work. The connection stays open and
// serves the next one, in the end a good one.
func TestConfig(t *testing.T) {
	t.Parallel()
	prefixes := func(s ...string) (p []netip.Prefix) {
		for _, text := range s {
			p = append(p, netip.MustParsePrefix(text))
		}
		return p
	}
	addr := netip.MustParseAddr
	good := wgtun.Config{Addrs: prefixes("10.0.1.1/24"), Routes: prefixes("10.0.2.0/24")}
	sw := newSwitch(t)
	conn := attach(t, sw)
	for _, c := range []struct {
		change func(*wgtun.Config)
		want   string
	}{
		{func(c *wgtun.Config) { c.Addrs = nil }, "needs Addrs"},
		{func(c *wgtun.Config) { c.Routes = nil }, "needs Routes or TunnelAddrs"},
		{func(c *wgtun.Config) { c.Addrs = prefixes("127.0.0.1/8") }, "not an address"},
		{func(c *wgtun.Config) { c.Addrs = prefixes("224.0.0.1/8") }, "not an address"},
		{func(c *wgtun.Config) { c.Addrs = make([]netip.Prefix, 1) }, "not an address"},
		{func(c *wgtun.Config) { c.TunnelAddrs = c.Addrs }, "twice"},
		{func(c *wgtun.Config) { c.TunnelAddrs = prefixes("fd00::1/64") }, "no IPv6 address"},
		{func(c *wgtun.Config) { c.Routes = prefixes("fd00::/64") }, "no IPv6 address"},
		{func(c *wgtun.Config) { c.Routes = make([]netip.Prefix, 1) }, "not a route"},
		{func(c *wgtun.Config) { c.Routes = prefixes("224.0.0.0/4") }, "not a route"},
		{func(c *wgtun.Config) { c.Routes = prefixes("10.0.1.128/25") }, "on the Ethernet"},
		{func(c *wgtun.Config) { c.TunnelAddrs = prefixes("10.0.1.2/24") }, "on the Ethernet"},
		{func(c *wgtun.Config) { c.Gateway = addr("10.0.1.1") }, "is this device"},
		{func(c *wgtun.Config) { c.Gateway = addr("10.0.2.1") }, "on no network"},
		{func(c *wgtun.Config) { c.Gateway = addr("fd00::1") }, "other family"},
		{func(c *wgtun.Config) { c.Gateway6 = addr("10.0.1.2") }, "other family"},
		{func(c *wgtun.Config) { c.Gateway, c.Routes = addr("10.0.1.2"), prefixes("0.0.0.0/0") }, "two default routes"},
		{func(c *wgtun.Config) { c.MTU = 575 }, "MTU 575"},
		{func(c *wgtun.Config) { c.MTU = 65440 }, "MTU 65440"},
		{func(c *wgtun.Config) { c.EthernetMTU = 575 }, "MTU 575"},
		{func(c *wgtun.Config) { c.Addrs, c.MTU = prefixes("10.0.1.1/24", "fd00::1/64"), 1279 }, "MTU 1279"},
		{func(c *wgtun.Config) { c.EthernetMTU = 65522 }, "MTU 65522"}, // more than the connection carries
		{func(c *wgtun.Config) { c.MAC = frame.Broadcast() }, "group address"},
		{func(c *wgtun.Config) { c.Queue = -1 }, "Queue"},
	} {
		cfg := good
		c.change(&cfg)
		d, err := wgtun.New(conn, cfg)
		if err == nil {
			d.Close()
			t.Fatalf("%+v: no error, want %q", cfg, c.want)
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", cfg, err, c.want)
		}
	}
	good.Addrs, good.Gateway6 = prefixes("10.0.1.1/24", "fd00::1/64"), addr("fe80::9") // on each Ethernet
	d, err := wgtun.New(conn, good)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// TestTunnelAddrs gives a device addresses in the tunnel, and a gateway on the Ethernet for
// what is on no network of it. Packets from the tunnel for its addresses are answered, and
// others go to the gateway.
func TestTunnelAddrs(t *testing.T) {
	t.Parallel()
	d, from := lone(t, wgtun.Config{
		Addrs: addrs(1, 1), Gateway: addr4(1, 9), Gateway6: addr6(1, 9),
		TunnelAddrs: addrs(3, 1), Routes: networks(2), MAC: frame.MAC{2, 0, 0, 0, 0, 1}, Name: "wg7",
	})
	if name, _ := d.Name(); name != "wg7" || d.MAC() != (frame.MAC{2, 0, 0, 0, 0, 1}) {
		t.Errorf("name %q, MAC %v", name, d.MAC())
	}
	bufs, sizes := buffers(1)
	request := []byte{8, 0, 0xf7, 0xff, 0, 0, 0, 0} // an ICMP echo request
	for _, to := range []netip.Addr{addr4(3, 1), addr4(1, 1)} {
		from.send(packet{addr4(1, 9), to, 64, 1, request, false}.bytes())
		if p := from.receive(frame.EtherTypeIPv4); [4]byte(p[12:16]) != to.As4() || p[20] != 0 {
			t.Errorf("answer % x of %v on the Ethernet", p, to)
		}
		echo := packet{addr4(2, 9), to, 64, 1, request, false}
		if _, err := d.Write([][]byte{echo.bytes()}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(bufs, sizes, headroom); err != nil {
			t.Fatal(err)
		}
		if p := bufs[0][headroom:]; [4]byte(p[12:16]) != to.As4() || p[20] != 0 {
			t.Errorf("answer % x of %v", p[:sizes[0]], to)
		}
	}
	outward := packet{addr4(2, 9), netip.MustParseAddr("192.0.2.1"), 64, udp, datagram(100), false}
	if _, err := d.Write([][]byte{outward.bytes()}, 0); err != nil {
		t.Fatal(err)
	}
	outward.ttl--
	if got := from.receive(frame.EtherTypeIPv4); string(got) != string(outward.bytes()) {
		t.Errorf("the gateway received % x", got)
	}
}
