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

// linkChanged lets the new switch learn where the host is, and the neighbours
// that it is still there, when a connection opened with vde.WithReconnect is up
// again. It must not wait: the connection does not go on before it returns.
func (h *Host) linkChanged(s vde.LinkState) {
	if !s.Up {
		return
	}
	var frames [][]byte
	for _, p := range h.Addrs() {
		n := h.ep.headerLen
		frames = append(frames, append(nothing[:n:n], announcement(h.MAC(), p.Addr())...))
	}
	// What finds no room is no loss: the next packet tells the switch too, and
	// neighbours remember.
	_, _ = h.ep.Conn().TryWriteBatch(frames)
	h.repeating.Go(h.repeatUntilBack)
}

// announcement returns the frame that tells everybody that addr is at mac: an
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
