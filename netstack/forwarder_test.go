// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// The hosts on both sides of the router of newRouter, and the MTU on the far side.
var (
	nearMAC, farMAC     = frame.MAC{2, 0, 0, 0, 1, 2}, frame.MAC{2, 0, 0, 0, 2, 2}
	nearAddr4, farAddr4 = tcpip.AddrFrom4([4]byte{10, 1, 0, 2}), tcpip.AddrFrom4([4]byte{10, 2, 0, 2})
	nearAddr6, farAddr6 = tcpip.AddrFrom16([16]byte{0xfd, 1, 15: 2}), tcpip.AddrFrom16([16]byte{0xfd, 2, 15: 2})
)

const nextMTU = 1300

// A router is a stack with a Forwarder, and the connections of hosts on both sides of it.
type router struct {
	forwarder *netstack.Forwarder
	mac       frame.MAC // on the near side
	near, far *vde.Conn
}

func newRouter(t *testing.T) *router {
	t.Helper()
	s, f := routerStack(t)
	r := &router{forwarder: f}
	for i, side := range []struct {
		conn         **vde.Conn
		mtu          int
		addrs        []string
		mac          frame.MAC
		host4, host6 tcpip.Address
	}{
		{&r.near, netstack.DefaultMTU, []string{"10.1.0.1/24", "fd01::1/64"}, nearMAC, nearAddr4, nearAddr6},
		{&r.far, nextMTU, []string{"10.2.0.1/24", "fd02::1/64"}, farMAC, farAddr4, farAddr6},
	} {
		sw := vswitch.New(vswitch.Config{})
		t.Cleanup(func() { sw.Close() })
		ep := endpoint(t, attach(t, sw), netstack.EndpointConfig{MTU: side.mtu, Forwarding: true})
		*side.conn = attach(t, sw)
		if i == 0 {
			r.mac = ep.MAC()
		}
		id := tcpip.NICID(i + 1)
		addInterface(t, s, id, f.Endpoint(ep), netip.MustParsePrefix(side.addrs[0]), netip.MustParsePrefix(side.addrs[1]))
		for protocol, a := range map[tcpip.NetworkProtocolNumber]tcpip.Address{header.IPv4ProtocolNumber: side.host4, header.IPv6ProtocolNumber: side.host6} {
			if err := s.AddStaticNeighbor(id, protocol, a, tcpip.LinkAddress(side.mac[:])); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

// send sends an IP packet from the host on the near side in a frame for mac.
func (r *router) send(t *testing.T, mac frame.MAC, p []byte) {
	t.Helper()
	kind := frame.EtherTypeIPv4
	if p[0]>>4 == header.IPv6Version {
		kind = frame.EtherTypeIPv6
	}
	if _, err := r.near.Write(append(frame.AppendHeader(nil, mac, nearMAC, kind), p...)); err != nil {
		t.Fatal(err)
	}
}

// packet4 returns an IPv4 packet from near to far with the identifier 0, of an unknown
// protocol and with size bytes of payload.
func packet4(ttl uint8, df bool, size int) []byte {
	h := header.IPv4(make([]byte, header.IPv4MinimumSize+size))
	fields := &header.IPv4Fields{TotalLength: uint16(len(h)), TTL: ttl, Protocol: 253, SrcAddr: nearAddr4, DstAddr: farAddr4}
	if df {
		fields.Flags = header.IPv4FlagDontFragment
	}
	h.Encode(fields)
	h.SetChecksum(^h.CalculateChecksum())
	return h
}

// packet6 returns an IPv6 packet from near to far.
func packet6(protocol tcpip.TransportProtocolNumber, payload []byte) []byte {
	h := make([]byte, header.IPv6MinimumSize, header.IPv6MinimumSize+len(payload))
	header.IPv6(h).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(payload)), HopLimit: 64, TransportProtocol: protocol, SrcAddr: nearAddr6, DstAddr: farAddr6,
	})
	return append(h, payload...)
}

// quotes reports whether the ICMP error quotes a packet of packet4 with a time to live.
func quotes(icmp header.ICMPv4, ttl uint8) bool {
	p := header.IPv4(icmp.Payload())
	return p.TTL() == ttl && p.SourceAddress() == nearAddr4 && p.DestinationAddress() == farAddr4
}

// TestForwarderReports sends packets that a router cannot forward, each to a host on its
// other side. It drops them and tells the sender, with the MTU of the next link.
func TestForwarderReports(t *testing.T) {
	t.Parallel()
	r := newRouter(t)
	for _, c := range []struct {
		name string
		p    []byte
		want func(icmp4 header.ICMPv4, icmp6 header.ICMPv6) bool // one is nil
		n    func(netstack.ForwarderStats) uint64
	}{
		{"time to live of 1", packet4(1, false, 100), func(icmp header.ICMPv4, _ header.ICMPv6) bool {
			return icmp != nil && icmp.Type() == header.ICMPv4TimeExceeded && icmp.Code() == header.ICMPv4TTLExceeded && quotes(icmp, 1)
		}, func(s netstack.ForwarderStats) uint64 { return s.Expired }},
		{"too long, not to be fragmented", packet4(64, true, 1400), func(icmp header.ICMPv4, _ header.ICMPv6) bool {
			return icmp != nil && icmp.Type() == header.ICMPv4DstUnreachable && icmp.Code() == header.ICMPv4FragmentationNeeded && icmp.MTU() == nextMTU && quotes(icmp, 64)
		}, func(s netstack.ForwarderStats) uint64 { return s.TooLong }},
		{"too long in IPv6", packet6(253, make([]byte, 1400)), func(_ header.ICMPv4, icmp header.ICMPv6) bool {
			return icmp != nil && icmp.Type() == header.ICMPv6PacketTooBig && icmp.MTU() == nextMTU
		}, func(s netstack.ForwarderStats) uint64 { return s.TooLong }},
	} {
		before := c.n(r.forwarder.Stats())
		r.send(t, r.mac, c.p)
		awaitFrame(t, r.near, "report of "+c.name, func(f frame.Frame) bool {
			if f.Dst() != nearMAC {
				return false
			}
			if f.EtherType() == frame.EtherTypeIPv4 {
				return c.want(header.IPv4(f.Payload()).Payload(), nil)
			}
			return f.EtherType() == frame.EtherTypeIPv6 && c.want(nil, header.IPv6(f.Payload()).Payload())
		})
		if n := c.n(r.forwarder.Stats()); n != before+1 {
			t.Errorf("%s: counted %d times", c.name, n-before)
		}
	}
}

// TestForwarderDrops sends packets that must not be forwarded, among them one at which
// gVisor alone panics, and then one that is forwarded.
func TestForwarderDrops(t *testing.T) {
	t.Parallel()
	r := newRouter(t)
	const noNextHeader = 59
	r.send(t, r.mac, packet6(noNextHeader, make([]byte, 1250)))
	r.send(t, frame.Broadcast(), packet4(64, false, 100))
	beyond := header.IPv4(packet4(64, false, 100))
	beyond.SetFlagsFragmentOffset(0, 65528)
	beyond.SetChecksum(0)
	beyond.SetChecksum(^beyond.CalculateChecksum())
	r.send(t, r.mac, beyond)
	r.send(t, r.mac, packet4(64, false, 1400)) // becomes two fragments
	sum := 0
	awaitFrame(t, r.far, "fragment", func(f frame.Frame) bool {
		p := header.IPv4(f.Payload())
		if f.EtherType() != frame.EtherTypeIPv4 || p.DestinationAddress() != farAddr4 {
			return false
		}
		if p.TTL() != 63 || len(p) > nextMTU || !p.IsChecksumValid() || p.ID() != 0 {
			t.Errorf("% x", []byte(p[:header.IPv4MinimumSize]))
		}
		sum += len(p.Payload())
		return sum == 1400
	})
	if s, want := r.forwarder.Stats(), (netstack.ForwarderStats{Forwarded: 1, LongHeaders: 1, Broadcast: 1, Malformed: 1}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
}

// TestForwarderRefuses gives NewForwarder the stack of a host, whose sockets could not send.
func TestForwarderRefuses(t *testing.T) {
	t.Parallel()
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	h := host(t, attach(t, sw), netstack.HostConfig{})
	if _, err := netstack.NewForwarder(h.Stack()); err == nil {
		t.Error("no error")
	}
}
