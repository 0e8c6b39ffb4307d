// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"math"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// report4 sends the sender of an IPv4 packet an error (RFC 792, RFC 1191), with mtu in it.
func (f *Forwarder) report4(h header.IPv4, kind header.ICMPv4Type, code header.ICMPv4Code, mtu int) {
	const quote = 576 - header.IPv4MinimumSize - header.ICMPv4MinimumSize // RFC 1812, section 4.3.2.3
	if h.FragmentOffset() != 0 || isICMPv4Error(h) {
		return
	}
	f.report(h.SourceAddress(), header.IPv4ProtocolNumber, buffer.MakeWithData(h[:min(len(h), quote)]),
		func(msg *stack.PacketBuffer, _ *stack.Route) {
			msg.TransportProtocolNumber = header.ICMPv4ProtocolNumber
			icmp := header.ICMPv4(msg.TransportHeader().Push(header.ICMPv4MinimumSize))
			icmp.SetType(kind)
			icmp.SetCode(code)
			icmp.SetMTU(uint16(min(mtu, math.MaxUint16)))
			icmp.SetChecksum(header.ICMPv4Checksum(icmp, msg.Data().Checksum()))
		})
}

// reportTooBig6 tells the sender of an IPv6 packet that it is longer than mtu (RFC 4443,
// section 3.2).
func (f *Forwarder) reportTooBig6(pkt *stack.PacketBuffer, mtu int) {
	const quote = header.IPv6MinimumMTU - header.IPv6MinimumSize - header.ICMPv6PacketTooBigMinimumSize
	src := header.IPv6(pkt.NetworkHeader().Slice()).SourceAddress()
	if header.IsV6MulticastAddress(src) || isICMPv6Error(pkt) {
		return
	}
	quoted := stack.BufferSince(pkt.NetworkHeader())
	quoted.Truncate(quote)
	f.report(src, header.IPv6ProtocolNumber, quoted, func(msg *stack.PacketBuffer, route *stack.Route) {
		msg.TransportProtocolNumber = header.ICMPv6ProtocolNumber
		icmp := header.ICMPv6(msg.TransportHeader().Push(header.ICMPv6PacketTooBigMinimumSize))
		icmp.SetType(header.ICMPv6PacketTooBig)
		icmp.SetMTU(uint32(mtu))
		icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
			Header: icmp, Src: route.LocalAddress(), Dst: src,
			PayloadCsum: msg.Data().Checksum(), PayloadLen: msg.Data().Size(),
		}))
	})
}

// report sends an ICMP message that quotes a packet to its sender, unless there have been
// too many. It owns quoted. put makes the header of the message.
func (f *Forwarder) report(to tcpip.Address, protocol tcpip.NetworkProtocolNumber, quoted buffer.Buffer, put func(*stack.PacketBuffer, *stack.Route)) {
	msg := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: reportHeaders, Payload: quoted})
	defer msg.DecRef()
	if !f.stack.AllowICMPMessage() {
		return
	}
	route, err := f.stack.FindRoute(0, tcpip.Address{}, to, protocol, false)
	if err != nil {
		return
	}
	defer route.Release()
	put(msg, route)
	// What cannot be sent is in the counters of the interface.
	_ = route.WritePacket(stack.NetworkHeaderParams{Protocol: msg.TransportProtocolNumber, TTL: route.DefaultTTL()}, msg)
}

// reportHeaders is the room for the headers of an ICMP message: Ethernet, IP and its own.
const reportHeaders = header.EthernetMinimumSize + header.IPv6MinimumSize + header.ICMPv6PacketTooBigMinimumSize

// isICMPv4Error reports whether h is an error, which no other error may answer.
func isICMPv4Error(h header.IPv4) bool {
	data := h[h.HeaderLength():]
	if h.Protocol() != uint8(header.ICMPv4ProtocolNumber) {
		return false
	}
	if len(data) < header.ICMPv4MinimumSize {
		return true
	}
	switch header.ICMPv4(data).Type() {
	case header.ICMPv4Echo, header.ICMPv4EchoReply, header.ICMPv4Timestamp, header.ICMPv4TimestampReply:
		return false
	}
	return true
}

// isICMPv6Error reports whether pkt is an error, which no other error may answer.
func isICMPv6Error(pkt *stack.PacketBuffer) bool {
	if pkt.TransportProtocolNumber != header.ICMPv6ProtocolNumber {
		return false
	}
	h := header.ICMPv6(pkt.TransportHeader().Slice())
	return len(h) < header.ICMPv6MinimumSize || h.Type().IsErrorType()
}
