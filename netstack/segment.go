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

// isSegmentable reports whether pkt is a TCP packet that the endpoint has to
// complete: its checksum is partial, and it may be longer than the MTU.
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

// segment appends the frames that pkt becomes. The headers, which the stack may
// still read, are copied and adjusted for each frame; the payload is not copied.
// The connection could segment the packet, too, but it has to copy the payload,
// which takes 5 to 15 % more processor time for a whole transfer.
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
		s.patch(h[header.EthernetMinimumSize:], i, n, size, payload.Checksum())
		t.frame(from, frame.VNetHeader{})
	}
	clear(t.data[:cap(t.data)])
}

// A segmenter adjusts the headers of the segments of one packet.
type segmenter struct {
	v6     bool
	sum    bool   // compute the checksum of TCP
	offset uint32 // of the next segment's payload
}

// patch turns ip, a copy of the headers of the whole packet, into the headers of
// segment i of n. The segment has size bytes of payload, whose sum is payload.
func (s *segmenter) patch(ip []byte, i, n, size int, payload uint16) {
	var tcp header.TCP
	if s.v6 {
		h := header.IPv6(ip)
		tcp = ip[header.IPv6MinimumSize:] // the stack adds no extension headers to such packets
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

// setTCPChecksum sets the checksum of tcp, a header with its options, which is
// followed by size bytes whose sum is payload. addrs are the two addresses of the IP
// header.
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

// headerSpace is how many bytes for headers are allocated at once.
const headerSpace = 16 << 10

// header returns a copy of hdr that is valid until the batch has been sent.
func (t *transmitter) header(hdr []byte) []byte {
	if len(t.headers)+len(hdr) > cap(t.headers) {
		// Frames of this batch still refer to the old space.
		t.headers = make([]byte, 0, headerSpace)
	}
	from := len(t.headers)
	t.headers = append(t.headers, hdr...)
	return t.headers[from:len(t.headers):len(t.headers)]
}
