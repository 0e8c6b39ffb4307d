// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/wgtun"
)

// A packet is an IP packet of a test.
type packet struct {
	src, dst netip.Addr
	ttl      uint8
	protocol uint8
	payload  []byte
	df       bool
}

const (
	udp           = 17
	noNextHeader  = 59
	destinationOp = 60
)

// bytes returns p in its form on the wire.
func (p packet) bytes() []byte {
	if p.dst.Is4() {
		b := make([]byte, header.IPv4MinimumSize, header.IPv4MinimumSize+len(p.payload))
		fields := &header.IPv4Fields{
			TotalLength: uint16(len(b) + len(p.payload)), TTL: p.ttl, Protocol: p.protocol, ID: 1,
			SrcAddr: tcpip.AddrFrom4(p.src.As4()), DstAddr: tcpip.AddrFrom4(p.dst.As4()),
		}
		if p.df {
			fields.Flags = header.IPv4FlagDontFragment
		}
		h := header.IPv4(b)
		h.Encode(fields)
		h.SetChecksum(^h.CalculateChecksum())
		return append(b, p.payload...)
	}
	b := make([]byte, header.IPv6MinimumSize, header.IPv6MinimumSize+len(p.payload))
	header.IPv6(b).Encode(&header.IPv6Fields{
		PayloadLength: uint16(len(p.payload)), HopLimit: p.ttl, TransportProtocol: tcpip.TransportProtocolNumber(p.protocol),
		SrcAddr: tcpip.AddrFrom16(p.src.As16()), DstAddr: tcpip.AddrFrom16(p.dst.As16()),
	})
	return append(b, p.payload...)
}

// datagram returns a UDP datagram of size bytes without a checksum.
func datagram(size int) []byte {
	b := make([]byte, size)
	header.UDP(b).Encode(&header.UDPFields{SrcPort: 1, DstPort: 2, Length: uint16(size)})
	return b
}

// options returns an extension header for destination options that takes size bytes, a
// multiple of 8 up to 2048, with padding in it, and is followed by UDP.
func options(size int) []byte {
	b := make([]byte, size) // the option 0 is one byte of padding
	b[0], b[1] = udp, byte(size/8-1)
	return b
}

// A stranger sends frames to a device from a port of its Ethernet.
type stranger struct {
	t      *testing.T
	conn   *vde.Conn
	device *wgtun.Device
}

// lone returns a device on an Ethernet with nobody but a stranger.
func lone(t *testing.T, cfg wgtun.Config) (*wgtun.Device, *stranger) {
	t.Helper()
	sw := newSwitch(t)
	d := newDevice(t, sw, cfg)
	return d, &stranger{t, attach(t, sw), d}
}

var strangerMAC = frame.MAC{2, 0, 0, 0, 0, 0x66}

// send sends an IP packet to the device.
func (s *stranger) send(ip []byte) {
	s.t.Helper()
	kind := frame.EtherTypeIPv4
	if len(ip) > 0 && ip[0]>>4 == header.IPv6Version {
		kind = frame.EtherTypeIPv6
	}
	f := append(frame.AppendHeader(nil, s.device.MAC(), strangerMAC, kind), ip...)
	if _, err := s.conn.Write(f); err != nil {
		s.t.Fatal(err)
	}
}

// flush returns when the device has forwarded or dropped what the stranger has sent: it
// sends a packet that the device has to forward, and reads until it comes.
func (s *stranger) flush() {
	s.t.Helper()
	last := packet{addr4(1, 9), addr4(2, 99), 64, udp, datagram(99), false}
	s.send(last.bytes())
	last.ttl--
	want := string(last.bytes())
	bufs, sizes := buffers(s.device.BatchSize())
	for {
		n, err := s.device.Read(bufs, sizes, headroom)
		if err != nil {
			s.t.Fatal(err)
		}
		for i := range n {
			if string(bufs[i][headroom:headroom+sizes[i]]) == want {
				return
			}
		}
	}
}

// dropped returns the counters of packets that were dropped, by name.
func dropped(s wgtun.Stats) map[string]uint64 {
	return map[string]uint64{
		"WriteInvalid": s.WriteInvalid, "Malformed": s.Malformed, "BadAddress": s.BadAddress, "Expired": s.Expired,
		"NoRoute": s.NoRoute, "LongHeaders": s.LongHeaders, "Broadcast": s.Broadcast, "TooLong": s.TooLong,
	}
}

// fragment returns an IPv4 packet as the last fragment of a datagram, at an offset.
func fragment(b []byte, offset uint16) []byte {
	h := header.IPv4(b)
	h.SetFlagsFragmentOffset(0, offset)
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
	return b
}

// cut returns b without its last n bytes.
func cut(b []byte, n int) []byte { return b[:len(b)-n] }

// A badPacket must not be forwarded.
type badPacket struct {
	name    string
	counter string
	tunnel  bool // only from the tunnel
	p       []byte
}

// badPackets returns a packet for each reason, and for each family.
func badPackets() []badPacket {
	here4, there4 := addr4(1, 9), addr4(2, 9)
	here6, there6 := addr6(1, 9), addr6(2, 9)
	loopback4, loopback6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	local6, nowhere4, nowhere6 := netip.MustParseAddr("fe80::9"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	mapped := netip.MustParseAddr("::ffff:10.0.2.9")
	short, long := datagram(100), datagram(1440)
	return []badPacket{
		{"no next header", "LongHeaders", false, packet{here6, there6, 64, noNextHeader, make([]byte, 1300), false}.bytes()},
		{"long options", "LongHeaders", false, packet{here6, there6, 64, destinationOp, append(options(1304), short...), false}.bytes()},
		{"half a header", "Malformed", false, cut(packet{here4, there4, 64, udp, nil, false}.bytes(), 10)},
		{"half an IPv6 header", "Malformed", false, cut(packet{here6, there6, 64, udp, nil, false}.bytes(), 10)},
		{"cut off", "Malformed", false, cut(packet{here4, there4, 64, udp, short, false}.bytes(), 1)},
		{"cut off in IPv6", "Malformed", false, cut(packet{here6, there6, 64, udp, short, false}.bytes(), 1)},
		{"time to live", "Expired", false, packet{here4, there4, 0, udp, short, false}.bytes()},
		{"time to live of 1", "Expired", false, packet{here4, there4, 1, udp, short, false}.bytes()},
		{"a fragment beyond the end", "Malformed", false, fragment(packet{here4, there4, 64, udp, long, false}.bytes(), 65528)},
		{"hop limit", "Expired", false, packet{here6, there6, 1, udp, short, false}.bytes()},
		{"no source", "BadAddress", false, packet{netip.IPv4Unspecified(), there4, 64, udp, short, false}.bytes()},
		{"no source in IPv6", "BadAddress", false, packet{netip.IPv6Unspecified(), there6, 64, udp, short, false}.bytes()},
		{"link-local source", "BadAddress", false, packet{local6, there6, 64, udp, short, false}.bytes()},
		{"link-local destination", "BadAddress", true, packet{there6, local6, 64, udp, short, false}.bytes()},
		{"loopback", "BadAddress", false, packet{here4, loopback4, 64, udp, short, false}.bytes()},
		{"loopback in IPv6", "BadAddress", false, packet{here6, loopback6, 64, udp, short, false}.bytes()},
		{"from loopback", "BadAddress", false, packet{loopback4, there4, 64, udp, short, false}.bytes()},
		{"IPv4 in IPv6", "BadAddress", false, packet{here6, mapped, 64, udp, short, false}.bytes()},
		{"own source", "BadAddress", false, packet{addr4(1, 1), there4, 64, udp, short, false}.bytes()},
		{"multicast", "BadAddress", false, packet{here4, netip.MustParseAddr("239.0.0.1"), 64, udp, short, false}.bytes()},
		{"nowhere", "NoRoute", false, packet{here4, nowhere4, 64, udp, short, false}.bytes()},
		{"nowhere in IPv6", "NoRoute", false, packet{here6, nowhere6, 64, udp, short, false}.bytes()},
		{"too long", "TooLong", false, packet{here4, there4, 64, udp, long, true}.bytes()},
		{"too long in IPv6", "TooLong", false, packet{here6, there6, 64, udp, long, false}.bytes()},
		{"another version", "WriteInvalid", true, []byte{0x50, 0}},
		{"nothing", "WriteInvalid", true, nil},
	}
}

// TestDropped sends packets that must not be forwarded, from the Ethernet and from the
// tunnel, and looks at the counters.
func TestDropped(t *testing.T) {
	t.Parallel()
	d, from := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	for _, c := range badPackets() {
		check := func(side string, send func()) {
			before := dropped(d.Stats())
			send()
			for name, n := range dropped(d.Stats()) {
				want := before[name]
				if name == c.counter {
					want++
				}
				if n != want {
					t.Errorf("%s, from the %s: %s is %d, want %d", c.name, side, name, n, want)
				}
			}
		}
		check("tunnel", func() {
			if n, err := d.Write([][]byte{append(make([]byte, headroom), c.p...)}, headroom); n != 1 || err != nil {
				t.Errorf("%s: Write returned %d, %v", c.name, n, err)
			}
		})
		if c.tunnel {
			continue
		}
		check("Ethernet", func() {
			from.send(c.p)
			from.flush()
		})
	}
}
