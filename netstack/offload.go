// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
)

// maxOffloadMTU is the largest MTU with which an endpoint reads and writes GSO
// frames. Above it a frame is as long as the longest GSO frame anyway.
const maxOffloadMTU = frame.MaxGSO - header.EthernetMinimumSize

// appendGSOFrame appends pkt, a TCP packet with a partial checksum and perhaps
// longer than the MTU, as one frame, for the other side to complete. It returns
// false for a packet that is too long for that, or of too many segments.
func (t *transmitter) appendGSOFrame(pkt *stack.PacketBuffer) bool {
	segments := frameCount(pkt)
	if pkt.Size() > frame.MaxGSO || segments > frame.MaxGSOSegments || segments > 1 && pkt.GSOOptions.MSS < frame.MinGSOSize {
		return false
	}
	o := frame.VNetHeader{
		Flags:      frame.VNetNeedsChecksum,
		CsumStart:  uint16(header.EthernetMinimumSize + len(pkt.NetworkHeader().Slice())),
		CsumOffset: header.TCPChecksumOffset,
	}
	if segments > 1 {
		o.GSOType = frame.GSOTCPv4
		if pkt.GSOOptions.Type == stack.GSOTCPv6 {
			o.GSOType = frame.GSOTCPv6
		}
		o.HdrLen, o.GSOSize = uint16(pkt.HeaderSize()), pkt.GSOOptions.MSS
	}
	from := len(t.pieces)
	t.pieces = appendPieces(t.pieces, pkt)
	t.frame(from, o)
	return true
}

// trustChecksum reports whether the stack can skip verifying f, whose checksum is
// partial or verified according to o. If the stack has to verify it, because
// Capabilities cannot answer for this packet alone, trustChecksum completes the
// checksum. It also completes one that is not of f's own TCP or UDP header, but of
// what that carries, as with VXLAN: the stack never looks at it.
func (d *delivery) trustChecksum(o frame.VNetHeader, f []byte) bool {
	if d.trusts() && !nestedChecksum(o, f) {
		return validIP(f)
	}
	if o.Flags&frame.VNetNeedsChecksum != 0 {
		completeChecksum(o, f)
	}
	return false
}

// nestedChecksum reports whether the checksum to complete lies behind the header that
// follows that of IP.
func nestedChecksum(o frame.VNetHeader, f []byte) bool {
	if o.Flags&frame.VNetNeedsChecksum == 0 {
		return false // and nobody has looked at f
	}
	l4 := header.EthernetMinimumSize + header.IPv6MinimumSize
	if header.Ethernet(f).Type() == header.IPv4ProtocolNumber {
		l4 = header.EthernetMinimumSize + int(header.IPv4(f[header.EthernetMinimumSize:]).HeaderLength())
	}
	return int(o.CsumStart) > l4
}

// validIP reports whether f is an IP packet with a valid IP header: a stack that
// does not verify a packet does not verify its IP header either.
func validIP(f []byte) bool {
	ip := f[header.EthernetMinimumSize:]
	switch header.Ethernet(f).Type() {
	case header.IPv4ProtocolNumber:
		h := header.IPv4(ip)
		return len(ip) >= header.IPv4MinimumSize && int(h.HeaderLength()) >= header.IPv4MinimumSize &&
			int(h.HeaderLength()) <= len(ip) && h.IsChecksumValid()
	case header.IPv6ProtocolNumber:
		return len(ip) >= header.IPv6MinimumSize
	}
	return false
}

// completeChecksum completes the partial checksum of f. The connection has checked
// that o agrees with f. The field holds the sum of the pseudo-header.
func completeChecksum(o frame.VNetHeader, f []byte) {
	ip := f[header.EthernetMinimumSize:]
	var end int
	switch header.Ethernet(f).Type() {
	case header.IPv4ProtocolNumber:
		end = header.EthernetMinimumSize + int(header.IPv4(ip).TotalLength())
	case header.IPv6ProtocolNumber:
		end = header.EthernetMinimumSize + header.IPv6MinimumSize + int(header.IPv6(ip).PayloadLength())
	default:
		return // tagged, and the stack drops it
	}
	sum := ^checksum.Checksum(f[o.CsumStart:end], 0)
	if sum == 0 && o.CsumOffset == header.UDPMinimumSize-2 {
		sum = 0xffff // zero means that there is no checksum
	}
	binary.BigEndian.PutUint16(f[o.CsumStart+o.CsumOffset:], sum)
}
