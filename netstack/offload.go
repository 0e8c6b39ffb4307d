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

// maxOffloadMTU is the largest MTU with which an endpoint asks for offload
// headers. Above it a frame with one does not fit gVisor's largest pooled buffer,
// and is as long as a segment to be cut can be anyway.
const maxOffloadMTU = frame.MaxGSO - header.EthernetMinimumSize

// nothing is the offload header of a frame about which nothing was left undone.
var nothing [frame.VNetHeaderLen]byte

// whole appends pkt, a TCP packet without its checksum and perhaps longer than
// the MTU, as one frame, for the other side to finish. It reports whether it did:
// what is too long has to be cut here.
func (t *transmitter) whole(pkt *stack.PacketBuffer) bool {
	if pkt.Size() > frame.MaxGSO {
		return false
	}
	o := frame.VNetHeader{
		Flags:      frame.VNetNeedsChecksum,
		CsumStart:  uint16(header.EthernetMinimumSize + len(pkt.NetworkHeader().Slice())),
		CsumOffset: header.TCPChecksumOffset,
	}
	if frameCount(pkt) > 1 {
		o.GSOType = frame.GSOTCPv4
		if pkt.GSOOptions.Type == stack.GSOTCPv6 {
			o.GSOType = frame.GSOTCPv6
		}
		o.HdrLen, o.GSOSize = uint16(pkt.HeaderSize()), pkt.GSOOptions.MSS
	}
	h := t.header(nil)
	o.Put(h)
	from := len(t.pieces)
	t.pieces = appendPieces(append(t.pieces, h), pkt)
	t.frame(from)
	return true
}

// vouch returns whether the stack need not verify f, which o says is without its
// checksum, or verified. If it has to, because it could not be told of this
// packet alone, the checksum is completed.
func (d *delivery) vouch(o frame.VNetHeader, f []byte) bool {
	if d.trusts() {
		return validIP(f)
	}
	if o.Flags&frame.VNetNeedsChecksum != 0 {
		complete(o, f)
	}
	return false
}

// validIP reports whether f is an IP packet whose own header is right: a stack
// that is told not to verify a packet does not look at that either.
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

// complete completes the checksum of f, which is what o says: the connection has
// looked. The field holds the sum of the pseudo-header.
func complete(o frame.VNetHeader, f []byte) {
	ip := f[header.EthernetMinimumSize:]
	var end int
	switch header.Ethernet(f).Type() {
	case header.IPv4ProtocolNumber:
		end = header.EthernetMinimumSize + int(header.IPv4(ip).TotalLength())
	case header.IPv6ProtocolNumber:
		end = header.EthernetMinimumSize + header.IPv6MinimumSize + int(header.IPv6(ip).PayloadLength())
	default:
		return // in a VLAN, and so not for us
	}
	sum := ^checksum.Checksum(f[o.CsumStart:end], 0)
	if sum == 0 && o.CsumOffset == header.UDPMinimumSize-2 {
		sum = 0xffff // zero says that there is none
	}
	binary.BigEndian.PutUint16(f[o.CsumStart+o.CsumOffset:], sum)
}
