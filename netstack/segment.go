// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// isSegmentable reports whether pkt is one that the stack left to the endpoint
// to finish: a TCP packet without its checksum, perhaps longer than the MTU.
func isSegmentable(pkt *stack.PacketBuffer) bool {
	return pkt.GSOOptions.Type == stack.GSOTCPv4 || pkt.GSOOptions.Type == stack.GSOTCPv6
}

// frameCount returns how many frames pkt becomes.
func frameCount(pkt *stack.PacketBuffer) int {
	mss := int(pkt.GSOOptions.MSS)
	if !isSegmentable(pkt) || mss == 0 {
		return 1
	}
	return max(1, (pkt.Size()-pkt.HeaderSize()+mss-1)/mss)
}

// segment appends the frames that pkt becomes. Its headers, which the stack may
// still look at, are copied and adjusted for each; its payload is not copied.
// The connection could cut it, too, but would have to copy, which takes 5 to 15 %
// more processor time for a whole transfer.
func (t *transmitter) segment(pkt *stack.PacketBuffer) {
	t.data = t.data[:0]
	t.data = appendPieces(t.data, pkt)
	hdrLen := pkt.HeaderSize()
	if len(t.data) == 0 || len(t.data[0]) < hdrLen {
		v := pkt.ToView()
		t.copies = append(t.copies, v)
		t.data = append(t.data[:0], v.AsSlice())
	}
	hdr := t.data[0][:hdrLen]
	data := t.data
	data[0] = data[0][hdrLen:]

	n := frameCount(pkt)
	left := pkt.Size() - hdrLen
	s := segmenter{v6: pkt.GSOOptions.Type == stack.GSOTCPv6, sum: t.e.caps&stack.CapabilityTXChecksumOffload == 0}
	for i := range n {
		h := t.header(hdr)
		from := len(t.pieces)
		t.pieces = append(t.pieces, h)
		size := left
		if i < n-1 {
			size = int(pkt.GSOOptions.MSS)
		}
		left -= size
		var payload checksum.Checksumer
		for rest := size; rest > 0; {
			p := data[0]
			if len(p) > rest {
				p = p[:rest]
			}
			data[0] = data[0][len(p):]
			if len(data[0]) == 0 {
				data = data[1:]
			}
			if len(p) == 0 {
				continue
			}
			rest -= len(p)
			t.pieces = append(t.pieces, p)
			if s.sum {
				payload.Add(p)
			}
		}
		s.patch(h[t.e.headerLen+header.EthernetMinimumSize:], i, n, size, payload.Checksum())
		t.frame(from)
	}
	clear(t.data[:cap(t.data)])
}

// A segmenter adjusts the headers of the segments of one packet.
type segmenter struct {
	v6     bool
	sum    bool   // compute the checksum of TCP
	offset uint32 // of the next segment's payload
}

// patch makes ip, the headers of the whole packet, those of segment i of n, with
// size bytes of payload whose sum is payload.
func (s *segmenter) patch(ip []byte, i, n, size int, payload uint16) {
	var tcp header.TCP
	if s.v6 {
		h := header.IPv6(ip)
		tcp = ip[header.IPv6MinimumSize:] // such packets carry no extension headers
		h.SetPayloadLength(uint16(len(tcp) + size))
	} else {
		h := header.IPv4(ip)
		tcp = ip[h.HeaderLength():]
		h.SetTotalLength(uint16(len(ip) + size))
		h.SetID(h.ID() + uint16(i))
		h.SetChecksum(0)
		h.SetChecksum(^h.CalculateChecksum())
	}
	if i > 0 {
		tcp.SetSequenceNumber(tcp.SequenceNumber() + s.offset)
		tcp.SetFlags(uint8(tcp.Flags() &^ header.TCPFlagCwr))
	}
	if i < n-1 {
		tcp.SetFlags(uint8(tcp.Flags() &^ (header.TCPFlagFin | header.TCPFlagPsh)))
	}
	s.offset += uint32(size)
	if s.sum {
		setTCPChecksum(tcp, addrs(ip, s.v6), size, payload)
	}
}

// setTCPChecksum completes tcp, a header with its options, before size bytes
// whose sum is payload; addrs are the two addresses in the IP header.
func setTCPChecksum(tcp header.TCP, addrs []byte, size int, payload uint16) {
	tcp.SetChecksum(0)
	tcp.SetChecksum(^checksum.Checksum(tcp, pseudoSum(addrs, len(tcp)+size, payload)))
}

// pseudoSum adds the pseudo-header of a TCP segment of length bytes to sum.
func pseudoSum(addrs []byte, length int, sum uint16) uint16 {
	var rest [4]byte
	rest[1] = uint8(header.TCPProtocolNumber)
	binary.BigEndian.PutUint16(rest[2:], uint16(length))
	return checksum.Checksum(addrs, checksum.Checksum(rest[:], sum))
}

// headerSpace is how much room for headers is allocated at once.
const headerSpace = 16 << 10

// header returns a copy of hdr, behind the offload header that says nothing if
// frames have one, that lives until the batch has been sent.
func (t *transmitter) header(hdr []byte) []byte {
	if len(t.headers)+t.e.headerLen+len(hdr) > cap(t.headers) {
		// Frames of this batch keep the old space alive.
		t.headers = make([]byte, 0, headerSpace)
	}
	from := len(t.headers)
	t.headers = append(append(t.headers, nothing[:t.e.headerLen]...), hdr...)
	return t.headers[from:len(t.headers):len(t.headers)]
}
