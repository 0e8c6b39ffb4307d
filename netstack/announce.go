// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// announceInterval is the time between the two announcements of an address (RFC
// 5227, section 1.1).
const announceInterval = 2 * time.Second

// linkChanged announces the addresses of the host when the link of a connection
// opened with vde.WithReconnect is up again, so that the new switch learns the
// port of the host and neighbours update their caches. It must not block: the
// connection waits until it returns.
func (h *Host) linkChanged(s vde.LinkState) {
	if !s.Up {
		return
	}
	h.sendAnnouncements(h.ownAddrs()...)
	h.probing.Go(h.probeLoop)
	h.probing.Go(h.autoconf.solicit)
}

// announce announces addrs now, and once more after announceInterval, for those that
// have missed the first. It does not block.
func (h *Host) announce(addrs ...netip.Addr) {
	h.sendAnnouncements(addrs...)
	h.announcing.Go(func() {
		timer := time.NewTimer(announceInterval)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-h.done:
			return
		}
		own := h.ownAddrs()
		h.sendAnnouncements(slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !slices.Contains(own, a) })...)
	})
}

// sendAnnouncements announces addrs.
func (h *Host) sendAnnouncements(addrs ...netip.Addr) { h.ep.Announce(addrs...) }

// ownAddrs returns the addresses of the host without their prefixes.
func (h *Host) ownAddrs() (addrs []netip.Addr) {
	for _, p := range h.Addrs() {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

// announcement returns the frame that announces addr at mac to all hosts: an
// ARP announcement (RFC 5227, section 2.3) or an unsolicited neighbour
// advertisement (RFC 4861, section 7.2.6).
func announcement(mac frame.MAC, addr netip.Addr) []byte {
	if addr.Is4() {
		return arpRequest(mac, addr.As4(), addr.As4())
	}
	return neighborAdvertisement(mac, addr)
}

// arpRequest returns an ARP request for target, to all hosts. With sender equal to
// target it is an announcement, and without a sender a probe.
func arpRequest(mac frame.MAC, sender, target [4]byte) []byte {
	f := frame.AppendHeader(make([]byte, 0, frame.MinLen), frame.Broadcast(), mac, frame.EtherTypeARP)[:frame.MinLen]
	p := header.ARP(f[frame.HeaderLen:][:header.ARPSize])
	p.SetIPv4OverEthernet()
	p.SetOp(header.ARPRequest)
	copy(p.HardwareAddressSender(), mac[:])
	copy(p.ProtocolAddressSender(), sender[:])
	copy(p.ProtocolAddressTarget(), target[:])
	return f
}

func neighborAdvertisement(mac frame.MAC, addr netip.Addr) []byte {
	src := address(addr.WithZone(""))
	options := header.NDPOptionsSerializer{header.NDPTargetLinkLayerAddressOption(tcpip.LinkAddress(mac[:]))}
	return ndpFrame(mac, src, header.IPv6AllNodesMulticastAddress, header.ICMPv6NeighborAdvert, header.NDPNAMinimumSize, options, func(b []byte) {
		na := header.NDPNeighborAdvert(b)
		na.SetTargetAddress(src)
		na.SetOverrideFlag(true)
	})
}

// ndpFrame returns a frame with a message of neighbour discovery. size is the length of
// the message without its ICMPv6 header and options, and fill completes it.
func ndpFrame(mac frame.MAC, src, dst tcpip.Address, typ header.ICMPv6Type, size int, options header.NDPOptionsSerializer, fill func([]byte)) []byte {
	length := header.ICMPv6HeaderSize + size + options.Length()
	group := header.EthernetAddressFromMulticastIPv6Address(dst)
	f := frame.AppendHeader(nil, frame.MAC([]byte(group)), mac, frame.EtherTypeIPv6)
	f = append(f, make([]byte, header.IPv6MinimumSize+length)...)
	header.IPv6(f[frame.HeaderLen:]).Encode(&header.IPv6Fields{
		PayloadLength: uint16(length), TransportProtocol: header.ICMPv6ProtocolNumber,
		HopLimit: header.NDPHopLimit, SrcAddr: src, DstAddr: dst,
	})
	icmp := header.ICMPv6(f[frame.HeaderLen+header.IPv6MinimumSize:])
	icmp.SetType(typ)
	fill(icmp.MessageBody())
	header.NDPOptions(icmp.MessageBody()[size:]).Serialize(options)
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: src, Dst: dst}))
	return f
}
