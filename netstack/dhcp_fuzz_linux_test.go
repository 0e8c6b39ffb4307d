// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/vswitch"
)

// fuzzedHost returns a host with the address own on a switch of its own.
func fuzzedHost(f *testing.F, own netip.Prefix) *Host {
	sw := vswitch.New(vswitch.Config{})
	f.Cleanup(func() { sw.Close() })
	c, err := sw.Attach()
	if err != nil {
		f.Fatal(err)
	}
	h, err := NewHost(c, HostConfig{Addrs: []netip.Prefix{own}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	return h
}

// FuzzDHCP gives arbitrary packets to the parser of the DHCP client's socket, and
// applies the messages in them as leases. The host must never get an address that
// no host can have, and must lose all that a lease gave it when the lease is lost.
func FuzzDHCP(f *testing.F) {
	own := netip.MustParsePrefix("192.168.77.7/24")
	h := fuzzedHost(f, own)
	for _, mods := range [][]dhcpv4.Modifier{
		{dhcpv4.WithYourIP(net.IPv4(10, 7, 0, 2)), dhcpv4.WithNetmask(net.CIDRMask(16, 32)), dhcpv4.WithRouter(net.IPv4(10, 7, 0, 1)), dhcpv4.WithDNS(net.IPv4(9, 9, 9, 9))},
		{dhcpv4.WithYourIP(net.IPv4(10, 7, 0, 2)), dhcpv4.WithNetmask(net.IPMask{255, 0, 255, 0})},
		{dhcpv4.WithYourIP(net.IPv4(255, 255, 255, 255))},
		{dhcpv4.WithYourIP(net.IPv4(127, 0, 0, 1)), dhcpv4.WithNetmask(net.CIDRMask(0, 32))},
		{dhcpv4.WithYourIP(net.IPv4(192, 168, 77, 7)), dhcpv4.WithNetmask(net.CIDRMask(24, 32))},
		{dhcpv4.WithYourIP(net.IPv4zero), dhcpv4.WithLeaseTime(0)},
	} {
		m, err := dhcpv4.New(append(mods, dhcpv4.WithHwAddr(net.HardwareAddr{2, 0, 0, 0, 0, 7}), dhcpv4.WithMessageType(dhcpv4.MessageTypeAck))...)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(fromServer(m.ToBytes()))
	}
	f.Add([]byte{0x45})
	f.Add(fromServer(nil))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if m := checkParseDHCP(t, packet); m != nil {
			checkApply(t, h, own, m)
		}
	})
}

// checkParseDHCP checks what parseDHCP returns for packet, and returns the message in
// it, or nil.
func checkParseDHCP(t *testing.T, packet []byte) *dhcpv4.DHCPv4 {
	before := bytes.Clone(packet)
	payload, from, ok := parseDHCP(packet)
	if !bytes.Equal(packet, before) {
		t.Fatal("the packet was changed")
	}
	if !ok {
		return nil
	}
	if len(payload) > len(packet)-28 || from == nil || from.Port != nclient4.ServerPort {
		t.Fatalf("%d bytes from %v, of a packet of %d", len(payload), from, len(packet))
	}
	// A packet with the same payload has to give the same result.
	again, _, ok := parseDHCP(fromServer(payload))
	if !ok || !bytes.Equal(again, payload) {
		t.Fatalf("%x, then %x", payload, again)
	}
	m, err := dhcpv4.FromBytes(payload)
	if err != nil {
		return nil
	}
	return m
}

// checkApply applies m to h, whose own address is own, and then loses the lease.
func checkApply(t *testing.T, h *Host, own netip.Prefix, m *dhcpv4.DHCPv4) {
	d := &dhcpClient{h: h, mtu: DefaultMTU}
	if d.apply(&nclient4.Lease{Offer: m, ACK: m}) == nil {
		a := d.prefix.Addr()
		if !a.Is4() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || !d.prefix.IsValid() {
			t.Errorf("the host has the address %v", d.prefix)
		}
		if dns := h.DNS(); len(dns) > maxDNS {
			t.Errorf("%d name servers", len(dns))
		}
	}
	d.forget()
	if dns := h.DNS(); len(dns) != 0 {
		t.Errorf("name servers %v", dns)
	}
	if addrs := h.Addrs(); len(addrs) != 1 || addrs[0] != own {
		t.Errorf("the host still has %v", addrs)
	}
}

// fromServer returns a packet of a DHCP server with payload, without a UDP checksum.
func fromServer(payload []byte) []byte {
	b := append(make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize), payload...)
	if len(b) > 65535 {
		b = b[:65535]
	}
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber),
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 7, 0, 1}), DstAddr: header.IPv4Broadcast,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	header.UDP(b[header.IPv4MinimumSize:]).Encode(&header.UDPFields{
		SrcPort: nclient4.ServerPort, DstPort: nclient4.ClientPort, Length: uint16(len(b) - header.IPv4MinimumSize),
	})
	return b
}
