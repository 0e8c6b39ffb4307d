// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
)

// The stack reduces the segments of a TCP connection when a router reports that a
// packet is too big, to whatever size the message has, and ignores the message for
// all other packets. The endpoint of a Host therefore reads these messages before the
// stack. It raises sizes that no router has, and fragments what is not TCP and longer
// than an IPv6 path. In IPv4 routers fragment: sockets that are not TCP do not set the
// bit that forbids it.

const (
	// minPathMTU4 is the least path MTU that a message can set for IPv4, as in
	// Linux. Routers that follow RFC 792 report zero.
	minPathMTU4 = 552

	// pathMTULife is how long a path MTU is used, as RFC 8201 recommends.
	pathMTULife = 10 * time.Minute

	// maxPathMTUs bounds the destinations whose path MTU is kept.
	maxPathMTUs = 256
)

// pathMTUs holds the MTU of IPv6 paths that carry less than the network of the host.
type pathMTUs struct {
	stack    *stack.Stack
	autoconf *autoconf   // reads router advertisements; nil if the host ignores them
	some     atomic.Bool // m is not empty

	mu sync.Mutex
	m  map[tcpip.Address]pathMTU // guarded by mu; the keys are destinations
}

type pathMTU struct {
	mtu uint32
	end time.Time
}

// mayReportSize reports whether f, which has a whole Ethernet header, could be an ICMP
// message. It is called for every frame.
func mayReportSize(f []byte) bool {
	const (
		protocol4  = header.EthernetMinimumSize + 9
		protocol6  = header.EthernetMinimumSize + 6
		etherType4 = uint16(header.IPv4ProtocolNumber)
		etherType6 = uint16(header.IPv6ProtocolNumber)
	)
	if len(f) < header.EthernetMinimumSize+header.IPv4MinimumSize {
		return false
	}
	switch binary.BigEndian.Uint16(f[header.EthernetMinimumSize-2:]) {
	case etherType4:
		return f[protocol4] == byte(header.ICMPv4ProtocolNumber)
	case etherType6:
		return f[protocol6] != byte(header.TCPProtocolNumber) && f[protocol6] != byte(header.UDPProtocolNumber)
	}
	return false
}

// receive reads f if it reports that a packet of this host is too big. It returns
// false if the stack must not see f.
func (p *pathMTUs) receive(f []byte) bool {
	ip := f[header.EthernetMinimumSize:]
	if header.Ethernet(f).Type() == header.IPv4ProtocolNumber {
		p.receive4(ip)
		return true
	}
	return p.receive6(ip)
}

// receive4 raises the MTU in a message to minPathMTU4. The first fragment of a message
// has the MTU too.
func (p *pathMTUs) receive4(b []byte) {
	ip := header.IPv4(b)
	n := int(ip.HeaderLength())
	if n < header.IPv4MinimumSize || len(b) < n+header.ICMPv4MinimumSize || ip.FragmentOffset() != 0 {
		return
	}
	icmp := header.ICMPv4(b[n:])
	if icmp.Type() != header.ICMPv4DstUnreachable || icmp.Code() != header.ICMPv4FragmentationNeeded ||
		icmp.MTU() >= minPathMTU4 || !p.isLocal(header.IPv4ProtocolNumber, ip.DestinationAddress()) {
		return
	}
	// RFC 1624: a checksum that was wrong stays wrong.
	sum := checksum.Combine(^icmp.Checksum(), ^icmp.MTU())
	icmp.SetMTU(minPathMTU4)
	icmp.SetChecksum(^checksum.Combine(sum, minPathMTU4))
}

// receive6 records the MTU of a message. It returns false for one of less than the
// minimum of IPv6, which hosts have to discard (RFC 8201, section 4).
func (p *pathMTUs) receive6(b []byte) bool {
	ip := header.IPv6(b)
	if len(b) < header.IPv6MinimumSize {
		return true
	}
	icmp, whole := icmpv6Of(ip)
	if len(icmp) > 0 && icmp.Type() == header.ICMPv6RouterAdvert && p.autoconf != nil {
		return p.receiveAdvert(ip, icmp, whole)
	}
	if len(icmp) < header.ICMPv6PacketTooBigMinimumSize || icmp.Type() != header.ICMPv6PacketTooBig ||
		!p.isLocal(header.IPv6ProtocolNumber, ip.DestinationAddress()) {
		return true
	}
	if icmp.MTU() < header.IPv6MinimumMTU {
		return false
	}
	sum := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: icmp[:header.ICMPv6PacketTooBigMinimumSize], Src: ip.SourceAddress(), Dst: ip.DestinationAddress(),
		PayloadCsum: checksum.Checksum(icmp[header.ICMPv6PacketTooBigMinimumSize:], 0),
		PayloadLen:  len(icmp) - header.ICMPv6PacketTooBigMinimumSize,
	})
	quoted := header.IPv6(icmp[header.ICMPv6PacketTooBigMinimumSize:])
	if !whole || sum != icmp.Checksum() || len(quoted) < header.IPv6MinimumSize ||
		uint32(quoted.PayloadLength())+header.IPv6MinimumSize <= icmp.MTU() ||
		!p.isLocal(header.IPv6ProtocolNumber, quoted.SourceAddress()) {
		return true
	}
	p.set(quoted.DestinationAddress(), icmp.MTU())
	return true
}

// icmpv6Of returns the ICMPv6 message in ip, behind extension headers, or its
// beginning if ip is a first fragment, and whether it is the whole message.
func icmpv6Of(ip header.IPv6) (icmp header.ICMPv6, whole bool) {
	const hopByHop, routing, fragment, destination, experiment = 0, 43, 44, 60, 253
	b := []byte(ip[header.IPv6MinimumSize:])
	whole = int(ip.PayloadLength()) <= len(b)
	if whole {
		b = b[:ip.PayloadLength()]
	}
	next := ip.NextHeader()
	for len(b) >= 8 { // each step removes at least 8 bytes
		n := 8 * (1 + int(b[1]))
		switch next {
		case uint8(header.ICMPv6ProtocolNumber):
			return b, whole
		case hopByHop, routing, destination:
		case experiment: // the stack takes it for a header of 8 bytes
			n = 8
		case fragment:
			n = header.IPv6FragmentHeaderSize
			if header.IPv6Fragment(b).FragmentOffset() != 0 {
				return nil, false
			}
			whole = whole && !header.IPv6Fragment(b).More()
		default:
			return nil, false
		}
		if n > len(b) {
			return nil, false
		}
		next, b = b[0], b[n:]
	}
	return nil, false
}

// isLocal reports whether addr is an address of this host.
func (p *pathMTUs) isLocal(protocol tcpip.NetworkProtocolNumber, addr tcpip.Address) bool {
	return p.stack.CheckLocalAddress(nicID, protocol, addr) != 0
}

// set records the MTU of the path to dst. It takes a lesser one only: the path may
// carry more again when the entry has ended.
func (p *pathMTUs) set(dst tcpip.Address, mtu uint32) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.m[dst]; ok && old.mtu < mtu && now.Before(old.end) {
		return
	}
	if p.m == nil {
		p.m = make(map[tcpip.Address]pathMTU)
	}
	if _, ok := p.m[dst]; !ok && len(p.m) >= maxPathMTUs {
		for other := range p.m { // any: a path that is still in use is found again
			delete(p.m, other)
			break
		}
	}
	p.m[dst] = pathMTU{mtu, now.Add(pathMTULife)}
	p.some.Store(true)
}

// get returns the MTU of the path to dst, or 0 if none is known.
func (p *pathMTUs) get(dst tcpip.Address) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.m[dst]
	if ok && !time.Now().Before(e.end) {
		delete(p.m, dst)
		p.some.Store(len(p.m) > 0)
		return 0
	}
	return e.mtu
}

// pathMTUOf returns the MTU to which pkt has to be fragmented, or 0.
func (t *transmitter) pathMTUOf(pkt *stack.PacketBuffer) uint32 {
	p := t.e.paths
	if p == nil || !p.some.Load() || pkt.NetworkProtocolNumber != header.IPv6ProtocolNumber ||
		pkt.Size() <= header.EthernetMinimumSize+header.IPv6MinimumMTU || pkt.NetworkPacketInfo.IsForwardedPacket {
		return 0
	}
	ip := header.IPv6(pkt.NetworkHeader().Slice())
	if len(ip) < header.IPv6MinimumSize || ipPayload(pkt) == header.TCPProtocolNumber {
		return 0
	}
	if mtu := p.get(ip.DestinationAddress()); mtu > 0 && pkt.Size() > header.EthernetMinimumSize+int(mtu) {
		return mtu
	}
	return 0
}

// fragment appends pkt as frames whose IPv6 packets are not longer than mtu. pkt can be
// a fragment itself.
func (t *transmitter) fragment(pkt *stack.PacketBuffer, mtu uint32) {
	const first = header.EthernetMinimumSize + header.IPv6MinimumSize
	v := pkt.ToView()
	t.copies = append(t.copies, v)
	f := v.AsSlice()
	ip, payload := header.IPv6(f[header.EthernetMinimumSize:first]), f[first:]
	next, offset, last, id := ip.NextHeader(), uint16(0), true, rand.Uint32()
	if next == uint8(header.IPv6FragmentExtHdrIdentifier) {
		h := header.IPv6Fragment(payload)
		next, offset, last, id = h.NextHeader(), h.FragmentOffset(), !h.More(), h.ID()
		payload = payload[header.IPv6FragmentHeaderSize:]
	}
	room := (int(mtu) - header.IPv6MinimumSize - header.IPv6FragmentHeaderSize) &^ 7
	for len(payload) > 0 {
		n := min(room, len(payload))
		h := t.header(f[:first+header.IPv6FragmentHeaderSize])
		ip := header.IPv6(h[header.EthernetMinimumSize:])
		ip.SetNextHeader(uint8(header.IPv6FragmentExtHdrIdentifier))
		ip.SetPayloadLength(uint16(header.IPv6FragmentHeaderSize + n))
		flags := offset << 3
		if !last || n < len(payload) {
			flags |= 1
		}
		h[first], h[first+1] = next, 0
		binary.BigEndian.PutUint16(h[first+2:], flags)
		binary.BigEndian.PutUint32(h[first+4:], id)
		from := len(t.pieces)
		t.pieces = append(t.pieces, h, payload[:n])
		t.frame(from, frame.VNetHeader{})
		payload = payload[n:]
		offset += uint16(n / 8)
	}
}
