// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/wgtun"
)

// TestAnnouncedOnLinkUp ends the switch of a device and starts another. The device
// announces each of its addresses on the Ethernet when its link is up again, and none of
// those in the tunnel.
func TestAnnouncedOnLinkUp(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	before := serve(t, newSwitch(t), dir)
	conn, err := vde.Open(t.Context(), dir, vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	d, err := wgtun.New(conn, wgtun.Config{Addrs: addrs(1, 1), TunnelAddrs: addrs(3, 1), Routes: networks(2)})
	if err != nil {
		conn.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	before.Close()

	after := newSwitch(t)
	monitor := attach(t, after) // before the device can join
	serve(t, after, dir)
	deadline, _ := bound(t).Deadline()
	monitor.SetReadDeadline(deadline)
	want := map[netip.Addr]bool{addr4(1, 1): true, addr6(1, 1): true}
	buf := make([]byte, 2000)
	for len(want) > 0 {
		n, err := monitor.Read(buf)
		if err != nil {
			t.Fatalf("%v were not announced: %v", want, err)
		}
		mac, addr, ok := announced(buf[:n])
		if !ok {
			continue
		}
		if a := addr4(3, 1); mac != d.MAC() || addr == a || addr == addr6(3, 1) {
			t.Errorf("%v was announced at %v", addr, mac)
		}
		delete(want, addr)
	}
	if err := d.Err(); err != nil {
		t.Error(err)
	}
}

// serve listens in dir for clients of sw, until the test ends, and returns sw.
func serve(t *testing.T, sw *vswitch.Switch, dir string) *vswitch.Switch {
	t.Helper()
	l, err := sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go l.Serve(t.Context())
	return sw
}

// announced returns the address that a frame announces, and the Ethernet address that it
// gives for it: an ARP announcement or an unsolicited neighbour advertisement.
func announced(f frame.Frame) (mac frame.MAC, addr netip.Addr, ok bool) {
	switch payload := f.Payload(); f.EtherType() {
	case frame.EtherTypeARP:
		p := header.ARP(payload)
		sender := netip.AddrFrom4([4]byte(p.ProtocolAddressSender()))
		return frame.MAC(p.HardwareAddressSender()), sender, string(p.ProtocolAddressTarget()) == string(p.ProtocolAddressSender())
	case frame.EtherTypeIPv6:
		h := header.IPv6(payload)
		icmp := header.ICMPv6(h.Payload())
		if h.NextHeader() != uint8(header.ICMPv6ProtocolNumber) || icmp.Type() != header.ICMPv6NeighborAdvert {
			return mac, addr, false
		}
		na := header.NDPNeighborAdvert(icmp.MessageBody())
		option := na.Options() // the target's link-layer address
		return frame.MAC(option[2:8]), netip.AddrFrom16(na.TargetAddress().As16()), !na.SolicitedFlag() && na.OverrideFlag()
	}
	return mac, addr, false
}
