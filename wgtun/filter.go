// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun

import (
	"math"
	"slices"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A filter sees each packet that the stack is about to forward. It drops those that it
// must not forward, and does itself what this release of gVisor does wrong: in IPv4 all
// that follows the choice of the route, because gVisor then reads the time to live from
// memory that it has released.
type filter struct {
	d         *Device
	forwarded atomic.Uint64
	headers   atomic.Uint64
	broadcast atomic.Uint64
	tooLong   atomic.Uint64
	malformed atomic.Uint64
	refused   atomic.Uint64 // IPv4 packets that an interface did not take; it has counted them
}

var _ stack.NFTablesInterface = (*filter)(nil)

// CheckForward implements stack.NFTablesInterface. The route is nil if the packet is for
// an address of another interface. With false the stack drops the packet without a
// trace.
func (f *filter) CheckForward(pkt *stack.PacketBuffer, route *stack.Route, _ stack.AddressFamily) bool {
	if route == nil {
		return true
	}
	if route.IsOutboundBroadcast() || pkt.PktType != tcpip.PacketHost { // RFC 2644; RFC 1812, section 5.3.4
		f.broadcast.Add(1)
		return false
	}
	mtu := f.d.outMTU(route.NICID())
	if pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber {
		f.forward4(pkt, route, mtu)
		return false
	}
	headers := len(pkt.NetworkHeader().Slice())
	switch {
	case headers > header.IPv6MinimumMTU:
		// gVisor panics. It counts what follows "no next header" as headers.
		f.headers.Add(1)
		return false
	case headers+len(pkt.TransportHeader().Slice())+pkt.Data().Size() > mtu:
		f.tooLong.Add(1)
		f.reportTooBig6(pkt, mtu) // gVisor would report an MTU of 0
		return false
	}
	f.forwarded.Add(1)
	return true
}

// outMTU returns the MTU of an interface in bytes.
func (d *Device) outMTU(id tcpip.NICID) int {
	if id == tunnelNIC {
		return d.mtu
	}
	return int(d.ep.MTU())
}

// forward4 forwards an IPv4 packet: whole, or in fragments if it may be fragmented and has
// to be.
func (f *filter) forward4(pkt *stack.PacketBuffer, route *stack.Route, mtu int) {
	b := bytesOf(pkt)
	h := header.IPv4(b)
	length := int(h.HeaderLength())
	data := b[length:]
	switch ttl := h.TTL(); {
	case ttl <= 1:
		// The stack reports a time to live of 0 only.
		h.SetTTL(0)
		checksum4(h)
		f.receive4(pkt.NICID, b)
		return
	case len(b) > mtu && h.Flags()&header.IPv4FlagDontFragment != 0:
		f.tooLong.Add(1)
		f.reportTooBig4(h, mtu)
		return
	case int(h.FragmentOffset())+len(data) > math.MaxUint16:
		f.malformed.Add(1)
		return
	default:
		h.SetTTL(ttl - 1)
	}
	f.forwarded.Add(1)
	if len(b) <= mtu {
		f.send4(route, b)
		return
	}
	step := (mtu - length) &^ 7
	for offset := 0; offset < len(data); offset += step {
		end := min(offset+step, len(data))
		flags := h.Flags()
		if end < len(data) {
			flags |= header.IPv4FlagMoreFragments
		}
		p := header.IPv4(slices.Concat(b[:length], data[offset:end]))
		p.SetTotalLength(uint16(len(p)))
		p.SetFlagsFragmentOffset(flags, h.FragmentOffset()+uint16(offset))
		f.send4(route, p)
	}
}

func checksum4(h header.IPv4) {
	h.SetChecksum(0)
	h.SetChecksum(^h.CalculateChecksum())
}

// idMark is the mark of a packet whose identifier is to become 0 again; see send4.
const idMark = 1

// send4 sends an IPv4 packet that fits the MTU, and computes the checksum of its header.
func (f *filter) send4(route *stack.Route, b header.IPv4) {
	opts := stack.PacketBufferOptions{ReserveHeaderBytes: int(route.MaxHeaderLength()), IsForwardedPacket: true}
	if b.ID() == 0 {
		// The stack would give each fragment an identifier of its own.
		b.SetID(1)
		opts.Mark = idMark
	}
	opts.Payload = buffer.MakeWithData(b)
	pkt := stack.NewPacketBuffer(opts)
	defer pkt.DecRef()
	if route.WriteHeaderIncludedPacket(pkt) != nil {
		f.refused.Add(1)
	}
}

// restoreIDs gives packets with idMark the identifier 0 back.
func restoreIDs(pkts stack.PacketBufferList) {
	for _, pkt := range pkts.AsSlice() {
		if pkt.Mark == idMark && pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber {
			h := header.IPv4(pkt.NetworkHeader().Slice())
			h.SetID(0)
			checksum4(h)
			pkt.Mark = 0
		}
	}
}

// receive4 lets the stack receive an IPv4 packet from an interface.
func (f *filter) receive4(from tcpip.NICID, b []byte) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
	defer pkt.DecRef()
	if from == tunnelNIC {
		f.d.tunnel.InjectInbound(header.IPv4ProtocolNumber, pkt)
	} else {
		f.d.lan.DeliverNetworkPacket(header.IPv4ProtocolNumber, pkt)
	}
}

// bytesOf returns a copy of an IP packet.
func bytesOf(pkt *stack.PacketBuffer) []byte {
	b := stack.BufferSince(pkt.NetworkHeader())
	defer b.Release()
	return b.Flatten()
}

// reportTooBig4 tells the sender of an IPv4 packet that it is longer than mtu (RFC 1191).
func (f *filter) reportTooBig4(h header.IPv4, mtu int) {
	const quote = 576 - header.IPv4MinimumSize - header.ICMPv4MinimumSize // RFC 1812, section 4.3.2.3
	if h.FragmentOffset() != 0 || isICMPv4Error(h) {
		return
	}
	f.report(h.SourceAddress(), header.IPv4ProtocolNumber, buffer.MakeWithData(h[:min(len(h), quote)]),
		func(msg *stack.PacketBuffer, _ *stack.Route) {
			msg.TransportProtocolNumber = header.ICMPv4ProtocolNumber
			icmp := header.ICMPv4(msg.TransportHeader().Push(header.ICMPv4MinimumSize))
			icmp.SetType(header.ICMPv4DstUnreachable)
			icmp.SetCode(header.ICMPv4FragmentationNeeded)
			icmp.SetMTU(uint16(min(mtu, math.MaxUint16)))
			icmp.SetChecksum(header.ICMPv4Checksum(icmp, msg.Data().Checksum()))
		})
}

// reportTooBig6 tells the sender of an IPv6 packet that it is longer than mtu (RFC 4443,
// section 3.2).
func (f *filter) reportTooBig6(pkt *stack.PacketBuffer, mtu int) {
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
func (f *filter) report(to tcpip.Address, protocol tcpip.NetworkProtocolNumber, quoted buffer.Buffer, put func(*stack.PacketBuffer, *stack.Route)) {
	msg := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: reportHeaders, Payload: quoted})
	defer msg.DecRef()
	if !f.d.stack.AllowICMPMessage() {
		return
	}
	route, err := f.d.stack.FindRoute(0, tcpip.Address{}, to, protocol, false)
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

// CheckPrerouting implements stack.NFTablesInterface, as the methods below.
func (*filter) CheckPrerouting(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (*filter) CheckInput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool { return true }

func (*filter) CheckOutput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool { return true }

func (*filter) CheckPostrouting(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (*filter) CheckIngress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool { return true }

func (*filter) CheckEgress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool { return true }
