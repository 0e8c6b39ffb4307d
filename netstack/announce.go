// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// linkChanged announces the addresses of the host when the link of a connection
// opened with vde.WithReconnect is up again, so that the new switch learns the
// port of the host and neighbours update their caches. It must not block: the
// connection waits until it returns.
func (h *Host) linkChanged(s vde.LinkState) {
	if !s.Up {
		return
	}
	var frames [][]byte
	for _, p := range h.Addrs() {
		frames = append(frames, announcement(h.MAC(), p.Addr()))
	}
	// A frame that the queue does not take is not needed: the switch learns from
	// the next packet too, and the caches of neighbours are still valid.
	_, _ = h.ep.Conn().TryWriteBatch(frames)
	h.probing.Go(h.probeLoop)
}

// announcement returns the frame that announces addr at mac to all hosts: an
// ARP announcement (RFC 5227, section 2.3) or an unsolicited neighbour
// advertisement (RFC 4861, section 7.2.6).
func announcement(mac frame.MAC, addr netip.Addr) []byte {
	if addr.Is4() {
		return arpAnnouncement(mac, addr.As4())
	}
	return neighborAdvertisement(mac, addr)
}

func arpAnnouncement(mac frame.MAC, addr [4]byte) []byte {
	f := frame.AppendHeader(make([]byte, 0, frame.MinLen), frame.Broadcast(), mac, frame.EtherTypeARP)[:frame.MinLen]
	p := header.ARP(f[frame.HeaderLen:][:header.ARPSize])
	p.SetIPv4OverEthernet()
	p.SetOp(header.ARPRequest)
	copy(p.HardwareAddressSender(), mac[:])
	copy(p.ProtocolAddressSender(), addr[:])
	copy(p.ProtocolAddressTarget(), addr[:])
	return f
}

func neighborAdvertisement(mac frame.MAC, addr netip.Addr) []byte {
	const size = header.ICMPv6NeighborAdvertMinimumSize + header.NDPLinkLayerAddressSize
	src, dst := address(addr.WithZone("")), header.IPv6AllNodesMulticastAddress
	group := header.EthernetAddressFromMulticastIPv6Address(dst)
	f := frame.AppendHeader(nil, frame.MAC([]byte(group)), mac, frame.EtherTypeIPv6)
	f = append(f, make([]byte, header.IPv6MinimumSize+size)...)
	header.IPv6(f[frame.HeaderLen:]).Encode(&header.IPv6Fields{
		PayloadLength: size, TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit: header.NDPHopLimit, SrcAddr: src, DstAddr: dst,
	})
	icmp := header.ICMPv6(f[frame.HeaderLen+header.IPv6MinimumSize:])
	icmp.SetType(header.ICMPv6NeighborAdvert)
	na := header.NDPNeighborAdvert(icmp.MessageBody())
	na.SetTargetAddress(src)
	na.SetOverrideFlag(true)
	na.Options().Serialize(header.NDPOptionsSerializer{header.NDPTargetLinkLayerAddressOption(tcpip.LinkAddress(mac[:]))})
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: icmp, Src: src, Dst: dst, PayloadCsum: checksum.Checksum(nil, 0),
	}))
	return f
}
