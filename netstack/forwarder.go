// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A Forwarder makes a stack a router. It sees each packet that the stack is about to
// forward, drops those that must not be forwarded, and does itself what this release of
// gVisor does wrong: in IPv4 all that follows the choice of the route, because gVisor then
// reads the time to live from memory that it has released. Without it, anybody who can
// send to a stack that forwards can end the process with one packet.
//
//	f, err := netstack.NewForwarder(s)
//	...
//	ep, err := netstack.NewEndpoint(conn, netstack.EndpointConfig{Forwarding: true})
//	...
//	s.CreateNIC(1, f.Endpoint(ep))
type Forwarder struct {
	stack *stack.Stack

	forwarded, expired, headers, broadcast, tooLong, malformed, unsent atomic.Uint64
}

// ForwarderStats are the counters of a [Forwarder]. Others are in those of the stack, such
// as IP.Forwarding.Unrouteable.
type ForwarderStats struct {
	Forwarded   uint64 // packets forwarded, before they are fragmented
	Expired     uint64 // IPv4 packets whose time to live was used up; their senders are told
	LongHeaders uint64 // IPv6 packets with more than 1280 bytes of headers
	Broadcast   uint64 // packets in a frame for a group, or to the broadcast address of a network
	TooLong     uint64 // too long for the next link, and not to be fragmented; their senders are told
	Malformed   uint64 // IPv4 fragments that end behind the longest packet
	Unsent      uint64 // IPv4 packets and fragments that an interface did not take, which it has counted
}

// NewForwarder makes s forward IPv4 and IPv6 packets between its interfaces, as far as it
// has these protocols. Call it before s has an interface, and give each interface an
// endpoint that Endpoint has returned. It fails if s has TCP or UDP, and so for the stack
// of a [Host]: this release of gVisor either changes the checksums of what it forwards or
// computes none for its own sockets. For sockets, open another port of the network.
func NewForwarder(s *stack.Stack) (*Forwarder, error) {
	for _, p := range []tcpip.TransportProtocolNumber{header.TCPProtocolNumber, header.UDPProtocolNumber} {
		if s.TransportProtocolInstance(p) != nil {
			return nil, errors.New("netstack: a stack that forwards must not have TCP or UDP")
		}
	}
	f := &Forwarder{stack: s}
	s.SetNFTables((*forwardHook)(f))
	s.SetNFTablesConfigured(true)
	for _, p := range []tcpip.NetworkProtocolNumber{header.IPv4ProtocolNumber, header.IPv6ProtocolNumber} {
		if s.NetworkProtocolInstance(p) == nil {
			continue
		}
		if err := s.SetForwardingDefaultAndAllNICs(p, true); err != nil {
			return nil, fmt.Errorf("netstack: forwarding: %s", err)
		}
	}
	return f, nil
}

// Stats returns the counters.
func (f *Forwarder) Stats() ForwarderStats {
	return ForwarderStats{
		Forwarded:   f.forwarded.Load(),
		Expired:     f.expired.Load(),
		LongHeaders: f.headers.Load(),
		Broadcast:   f.broadcast.Load(),
		TooLong:     f.tooLong.Load(),
		Malformed:   f.malformed.Load(),
		Unsent:      f.unsent.Load(),
	}
}

// Endpoint returns ep in the form that an interface of the stack needs. ep must not have
// GSO or merge packets: set Forwarding in the configuration of an [Endpoint].
func (f *Forwarder) Endpoint(ep stack.LinkEndpoint) stack.LinkEndpoint {
	e := new(forwardEndpoint)
	e.Init(ep, e)
	return e
}

// A forwardEndpoint is an endpoint of a stack that forwards.
type forwardEndpoint struct{ nested.Endpoint }

// Capabilities implements stack.LinkEndpoint. When an interface does not claim to compute
// checksums, this release of gVisor computes that of each TCP segment and UDP datagram that
// it forwards again, so that a damaged packet becomes a valid one. It always computes those
// of ICMP.
func (e *forwardEndpoint) Capabilities() stack.LinkEndpointCapabilities {
	return e.Endpoint.Capabilities() | stack.CapabilityTXChecksumOffload
}

// DeliverNetworkPacket implements stack.NetworkDispatcher. It marks packets that came in
// a frame for more than this endpoint.
func (e *forwardEndpoint) DeliverNetworkPacket(protocol tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if h := pkt.LinkHeader().Slice(); len(h) > 0 && h[0]&1 != 0 {
		pkt.PktType = tcpip.PacketMulticast
	}
	e.Endpoint.DeliverNetworkPacket(protocol, pkt)
}

// WritePackets implements stack.LinkWriter.
func (e *forwardEndpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	restoreIDs(pkts)
	return e.Endpoint.WritePackets(pkts)
}

// A forwardHook is a Forwarder as the stack sees it.
type forwardHook Forwarder

var _ stack.NFTablesInterface = (*forwardHook)(nil)

// CheckForward implements stack.NFTablesInterface. The route is nil if the packet is for
// an address of another interface. With false the stack drops the packet without a
// trace.
func (hook *forwardHook) CheckForward(pkt *stack.PacketBuffer, route *stack.Route, _ stack.AddressFamily) bool {
	f := (*Forwarder)(hook)
	if route == nil {
		return true
	}
	if route.IsOutboundBroadcast() || pkt.PktType != tcpip.PacketHost { // RFC 2644; RFC 1812, section 5.3.4
		f.broadcast.Add(1)
		return false
	}
	mtu := outMTU(route)
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

// outMTU returns the MTU of the interface of a route in bytes.
func outMTU(route *stack.Route) int {
	if route.NetProto() == header.IPv4ProtocolNumber {
		return int(route.MTU()) + header.IPv4MinimumSize
	}
	return int(route.MTU()) + header.IPv6MinimumSize
}

// forward4 forwards an IPv4 packet: whole, or in fragments if it may be fragmented and has
// to be.
func (f *Forwarder) forward4(pkt *stack.PacketBuffer, route *stack.Route, mtu int) {
	b := bytesOf(pkt)
	h := header.IPv4(b)
	length := int(h.HeaderLength())
	data := b[length:]
	switch ttl := h.TTL(); {
	case ttl <= 1:
		f.expired.Add(1)
		f.report4(h, header.ICMPv4TimeExceeded, header.ICMPv4TTLExceeded, 0)
		return
	case len(b) > mtu && h.Flags()&header.IPv4FlagDontFragment != 0:
		f.tooLong.Add(1)
		f.report4(h, header.ICMPv4DstUnreachable, header.ICMPv4FragmentationNeeded, mtu)
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
func (f *Forwarder) send4(route *stack.Route, b header.IPv4) {
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
		f.unsent.Add(1)
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

// bytesOf returns a copy of an IP packet.
func bytesOf(pkt *stack.PacketBuffer) []byte {
	b := stack.BufferSince(pkt.NetworkHeader())
	defer b.Release()
	return b.Flatten()
}

// CheckPrerouting implements stack.NFTablesInterface, as the methods below.
func (*forwardHook) CheckPrerouting(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (*forwardHook) CheckInput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (*forwardHook) CheckOutput(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (*forwardHook) CheckPostrouting(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (*forwardHook) CheckIngress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}

func (*forwardHook) CheckEgress(*stack.PacketBuffer, *stack.Route, stack.AddressFamily) bool {
	return true
}
