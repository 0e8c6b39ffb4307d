// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// The stack does not read the MTU option of router advertisements, and accepts two
// things that no router sends: prefixes of multicast addresses, from which it would
// generate addresses, and this host as the router. The endpoint of a Host that accepts
// router advertisements therefore reads them before the stack.

const (
	raSize = header.ICMPv6HeaderSize + header.NDPRAMinimumSize

	// The options of RFC 4861, section 4.6.
	ndpPrefixOption = 3
	ndpMTUOption    = 5
)

// receiveAdvert applies the MTU in a router advertisement. It returns false if the stack
// must not see the packet.
func (p *pathMTUs) receiveAdvert(ip header.IPv6, icmp header.ICMPv6, whole bool) bool {
	mtu, ok := parseAdvert(icmp)
	// Routers do not use extension headers, which could hide the message from
	// filters, and RFC 6980 forbids fragments.
	if !ok || !whole || ip.NextHeader() != uint8(header.ICMPv6ProtocolNumber) ||
		p.isLocal(header.IPv6ProtocolNumber, ip.SourceAddress()) {
		return false
	}
	sum := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: ip.SourceAddress(), Dst: ip.DestinationAddress()})
	if sum != icmp.Checksum() || ip.HopLimit() != header.NDPHopLimit || icmp.Code() != 0 ||
		!header.IsV6LinkLocalUnicastAddress(ip.SourceAddress()) ||
		ip.DestinationAddress() != header.IPv6AllNodesMulticastAddress && !p.isLocal(header.IPv6ProtocolNumber, ip.DestinationAddress()) {
		return true // the stack drops it, and counts why
	}
	p.autoconf.adverts.Add(1)
	if mtu >= header.IPv6MinimumMTU {
		p.autoconf.h.limitMTU(mtuAdvertised, mtu)
	}
	return true
}

// parseAdvert returns the MTU in a router advertisement, or 0. ok is false if the
// message is malformed, or has a prefix that no router advertises.
func parseAdvert(icmp header.ICMPv6) (mtu uint32, ok bool) {
	if len(icmp) < raSize {
		return 0, false
	}
	for b := []byte(icmp[raSize:]); len(b) > 0; {
		if len(b) < 8 || b[1] == 0 || 8*int(b[1]) > len(b) {
			return 0, false
		}
		var opt []byte
		opt, b = b[:8*int(b[1])], b[8*int(b[1]):]
		switch opt[0] {
		case ndpMTUOption:
			if len(opt) == 8 {
				mtu = binary.BigEndian.Uint32(opt[4:])
			}
		case ndpPrefixOption:
			if len(opt) != 32 {
				return 0, false
			}
			if bits, first := opt[2], opt[16]; bits > 128 || bits >= 8 && first == 0xff {
				return 0, false
			}
		}
	}
	return mtu, true
}
