// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

var (
	routerMAC = frame.MAC{2, 0, 0, 0, 0, 0xfe}
	router4   = netip.MustParseAddr("10.0.0.254")
	router6   = netip.MustParseAddr("fd00::fe")
)

// behindRouter returns a host and the other end of its network, at which the test
// plays the router.
func behindRouter(t *testing.T) (*netstack.Host, *vde.Conn) {
	t.Helper()
	ca, cb := pair(t)
	h := host(t, ca, netstack.HostConfig{
		Addrs:   []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")},
		Gateway: router4, Gateway6: router6,
	})
	for _, r := range []netip.Addr{router4, router6} {
		protocol := header.IPv4ProtocolNumber
		if r.Is6() {
			protocol = header.IPv6ProtocolNumber
		}
		if err := h.Stack().AddStaticNeighbor(1, protocol, tcpip.AddrFromSlice(r.AsSlice()), tcpip.LinkAddress(routerMAC[:])); err != nil {
			t.Fatal(err)
		}
	}
	return h, cb
}

// nextIP returns the next IP packet of the given protocols that c receives.
func nextIP(t *testing.T, c *vde.Conn, etherType uint16, protocols ...uint8) []byte {
	t.Helper()
	deadline, _ := bound(t).Deadline()
	c.SetReadDeadline(deadline)
	b := make([]byte, 65536)
	for {
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		ip := b[frame.HeaderLen:n]
		if binary.BigEndian.Uint16(b[12:]) != etherType {
			continue
		}
		protocol := ip[6]
		if etherType == uint16(header.IPv4ProtocolNumber) {
			protocol = ip[9]
		}
		if bytes.IndexByte(protocols, protocol) >= 0 {
			return bytes.Clone(ip)
		}
	}
}

// TestDatagramIdentifiers checks that routers may fragment IPv4 datagrams, and that the
// fragments of one have an identifier of their own: with one for all, a lost fragment
// makes the receiver join fragments of different datagrams.
func TestDatagramIdentifiers(t *testing.T) {
	t.Parallel()
	h, wire := behindRouter(t)
	dialled, err := h.Dial("udp", "192.0.2.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	both, err := h.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancelled := make(chan struct{})
	for name, send := range map[string]func(){
		"dialled": func() { dialled.Write(make([]byte, 4000)) },
		"both families": func() {
			both.WriteTo(make([]byte, 4000), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9})
		},
		"ping": func() {
			go func() {
				h.PingData(ctx, netip.MustParseAddr("192.0.2.1"), make([]byte, 4000))
				cancelled <- struct{}{}
			}()
		},
	} {
		const n = 20
		ids := make(map[uint16]bool)
		for range n {
			send()
			var id uint16
			for more := true; more; {
				ip := header.IPv4(nextIP(t, wire, uint16(header.IPv4ProtocolNumber), 17, 1))
				if ip.Flags()&header.IPv4FlagDontFragment != 0 {
					t.Fatalf("%s: routers must not fragment", name)
				}
				if ip.FragmentOffset() > 0 && ip.ID() != id {
					t.Fatalf("%s: identifiers %d and %d in one datagram", name, id, ip.ID())
				}
				id, more = ip.ID(), ip.More()
			}
			ids[id] = true
		}
		if len(ids) < n/2 { // they are random
			t.Errorf("%s: %d datagrams have %d identifiers", name, n, len(ids))
		}
		if name == "ping" {
			cancel()
			for range n {
				<-cancelled
			}
		}
	}
	cancel()
}

// TestUDPPathMTU6 reports to a host that its datagrams are too big for an IPv6 path,
// and checks that it then sends fragments that fit.
func TestUDPPathMTU6(t *testing.T) {
	t.Parallel()
	const mtu = 1300
	h, wire := behindRouter(t)
	c, err := h.Dial("udp", "[2001:db8::1]:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(make([]byte, 1400))
	packet := header.IPv6(nextIP(t, wire, uint16(header.IPv6ProtocolNumber), 17))
	tooBig := packetTooBig6(packet, h.MAC(), mtu)
	if _, err := wire.Write(tooBig); err != nil {
		t.Fatal(err)
	}
	for h.Stack().Stats().ICMP.V6.PacketsReceived.PacketTooBig.Value() == 0 {
		runtime.Gosched()
	}
	for _, size := range []int{1400, 4000} {
		msg := make([]byte, size)
		for i := range msg {
			msg[i] = byte(i / 8)
		}
		c.Write(msg)
		got := make([]byte, 0, size+8)
		for more := true; more; {
			ip := header.IPv6(nextIP(t, wire, uint16(header.IPv6ProtocolNumber), 17, header.IPv6FragmentHeader))
			if len(ip) > mtu || ip.NextHeader() != header.IPv6FragmentHeader {
				t.Fatalf("%d bytes: a packet of %d bytes with the header %d", size, len(ip), ip.NextHeader())
			}
			f := header.IPv6Fragment(ip.Payload())
			if int(f.FragmentOffset())*8 != len(got) || f.NextHeader() != 17 {
				t.Fatalf("%d bytes: a fragment at %d after %d bytes", size, f.FragmentOffset()*8, len(got))
			}
			got, more = append(got, f.Payload()...), f.More()
		}
		if len(got) < 8 || !bytes.Equal(got[8:], msg) {
			t.Errorf("%d bytes: the fragments do not make up the datagram", size)
		}
	}
	// Packets that fit are not fragmented.
	c.Write(make([]byte, mtu-48))
	if ip := header.IPv6(nextIP(t, wire, uint16(header.IPv6ProtocolNumber), 17, header.IPv6FragmentHeader)); ip.NextHeader() != 17 || len(ip) != mtu {
		t.Errorf("a packet of %d bytes with the header %d", len(ip), ip.NextHeader())
	}
}

// packetTooBig6 returns a frame to mac that reports the MTU of the path of packet.
func packetTooBig6(packet header.IPv6, mac frame.MAC, mtu uint32) []byte {
	quoted := packet[:min(len(packet), 200)]
	size := header.ICMPv6PacketTooBigMinimumSize + len(quoted)
	src := tcpip.AddrFrom16(router6.As16())
	f := frame.AppendHeader(nil, mac, routerMAC, frame.EtherTypeIPv6)
	f = append(f, make([]byte, header.IPv6MinimumSize+size)...)
	header.IPv6(f[frame.HeaderLen:]).Encode(&header.IPv6Fields{
		PayloadLength: uint16(size), TransportProtocol: header.ICMPv6ProtocolNumber, HopLimit: 64,
		SrcAddr: src, DstAddr: packet.SourceAddress(),
	})
	icmp := header.ICMPv6(f[frame.HeaderLen+header.IPv6MinimumSize:])
	icmp.SetType(header.ICMPv6PacketTooBig)
	icmp.SetMTU(mtu)
	copy(icmp[header.ICMPv6PacketTooBigMinimumSize:], quoted)
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: src, Dst: packet.SourceAddress()}))
	return f
}

// fragmentationNeeded returns a frame to mac that reports the MTU of the path of packet.
func fragmentationNeeded(packet header.IPv4, mac frame.MAC, mtu uint16) []byte {
	quoted := packet[:min(len(packet), 200)]
	size := header.ICMPv4MinimumSize + len(quoted)
	f := frame.AppendHeader(nil, mac, routerMAC, frame.EtherTypeIPv4)
	f = append(f, make([]byte, header.IPv4MinimumSize+size)...)
	ip := header.IPv4(f[frame.HeaderLen:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(header.IPv4MinimumSize + size), TTL: 64, Protocol: uint8(header.ICMPv4ProtocolNumber),
		SrcAddr: tcpip.AddrFrom4(router4.As4()), DstAddr: packet.SourceAddress(),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	icmp := header.ICMPv4(ip.Payload())
	icmp.SetType(header.ICMPv4DstUnreachable)
	icmp.SetCode(header.ICMPv4FragmentationNeeded)
	icmp.SetMTU(mtu)
	copy(icmp.Payload(), quoted)
	icmp.SetChecksum(^checksum.Checksum(icmp, 0))
	return f
}

// fragments returns the IPv4 packet in f as two frames.
func fragments(f []byte) [][]byte {
	const first = 8
	head := frame.HeaderLen + header.IPv4MinimumSize
	one, two := bytes.Clone(f[:head+first]), append(bytes.Clone(f[:head]), f[head+first:]...)
	for i, part := range [][]byte{one, two} {
		ip := header.IPv4(part[frame.HeaderLen:])
		ip.SetTotalLength(uint16(len(ip)))
		ip.SetID(7)
		if i == 0 {
			ip.SetFlagsFragmentOffset(header.IPv4FlagMoreFragments, 0)
		} else {
			ip.SetFlagsFragmentOffset(0, first)
		}
		ip.SetChecksum(0)
		ip.SetChecksum(^ip.CalculateChecksum())
	}
	return [][]byte{one, two}
}

// TestForgedPathMTU sends a host messages that packets of its TCP connections are too
// big for a path of less than any path carries, and checks that its segments are not
// reduced to a few bytes.
func TestForgedPathMTU(t *testing.T) {
	t.Parallel()
	for _, mtu := range []uint16{0, 1, 60, 68, 100} {
		sw := vswitch.New(vswitch.Config{})
		a := host(t, attach(t, sw), netstack.HostConfig{NoOffload: true})
		b := host(t, attach(t, sw), netstack.HostConfig{})
		forger := attach(t, sw)
		for _, to := range []netip.Addr{addr4(b), addr6(b)} {
			l := listen(t, b, "tcp", ":0")
			out := dial(t, a, to, listenPort(l))
			in := accept(t, l)
			for _, f := range forgedMTU(out, a.MAC(), mtu) {
				if _, err := forger.Write(f); err != nil {
					t.Fatal(err)
				}
			}
			// The host has read the messages when it has answered.
			if _, err := b.Ping(bound(t), addr4(a)); err != nil {
				t.Fatal(err)
			}
			before := a.Stats().Endpoint.Conn.TxFrames
			const size = 64 << 10
			go out.Write(make([]byte, size))
			n := 0
			for buf := make([]byte, size); n < size; {
				k, err := in.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				n += k
			}
			if frames := a.Stats().Endpoint.Conn.TxFrames - before; frames > size/256 {
				t.Errorf("%v, MTU %d: %d bytes took %d frames", to, mtu, size, frames)
			}
			l.Close()
		}
	}
}

// forgedMTU returns frames to mac that report the MTU of the path of c, whole and in
// fragments.
func forgedMTU(c net.Conn, mac frame.MAC, mtu uint16) [][]byte {
	from, to := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	tcp := header.TCP(make([]byte, header.TCPMinimumSize))
	tcp.Encode(&header.TCPFields{SrcPort: from.Port(), DstPort: to.Port(), DataOffset: header.TCPMinimumSize})
	if from.Addr().Is4() {
		ip := header.IPv4(make([]byte, header.IPv4MinimumSize))
		ip.Encode(&header.IPv4Fields{TotalLength: 1500, TTL: 64, Protocol: 6,
			SrcAddr: tcpip.AddrFrom4(from.Addr().As4()), DstAddr: tcpip.AddrFrom4(to.Addr().As4())})
		f := fragmentationNeeded(append(ip, tcp...), mac, mtu)
		return append(fragments(f), f)
	}
	ip := header.IPv6(make([]byte, header.IPv6MinimumSize))
	ip.Encode(&header.IPv6Fields{PayloadLength: 1460, TransportProtocol: 6, HopLimit: 64,
		SrcAddr: tcpip.AddrFrom16(from.Addr().As16()), DstAddr: tcpip.AddrFrom16(to.Addr().As16())})
	return [][]byte{packetTooBig6(append(ip, tcp...), mac, uint32(mtu))}
}

// TestPathMTUBound reports the MTU of more paths than a host keeps.
func TestPathMTUBound(t *testing.T) {
	t.Parallel()
	h, wire := behindRouter(t)
	src := tcpip.AddrFrom16(netip.MustParseAddr("fd00::1").As16())
	const n = 3000
	for i := range n {
		ip := header.IPv6(make([]byte, header.IPv6MinimumSize+8))
		dst := [16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)}
		ip.Encode(&header.IPv6Fields{PayloadLength: 1460, TransportProtocol: 17, HopLimit: 64, SrcAddr: src, DstAddr: tcpip.AddrFrom16(dst)})
		if _, err := wire.Write(packetTooBig6(ip, h.MAC(), 1300)); err != nil {
			t.Fatal(err)
		}
	}
	for start := time.Now(); h.Stack().Stats().ICMP.V6.PacketsReceived.PacketTooBig.Value() < n; {
		if time.Since(start) > watchdog {
			t.Fatal("messages were lost")
		}
		runtime.Gosched()
	}
	if got := netstack.PathMTUs(h); got == 0 || got > 256 {
		t.Errorf("%d paths are kept", got)
	}
}
