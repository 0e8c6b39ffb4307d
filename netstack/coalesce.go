// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	// maxFlows is how many TCP flows are merged at the same time.
	maxFlows = 8

	// maxMerged is the longest IP packet.
	maxMerged = 65535
)

// A coalescer merges the segments of a TCP flow that arrive in one batch into
// packets of up to 64 KiB, as Linux's generic receive offload (GRO) does, because
// the cost of the stack is per packet. It merges segments that follow each other
// without a gap and whose headers differ only in sequence number, length, checksum
// and the push flag. Each of them has been verified.
//
// A segment does not wait for later ones: flush delivers at the end of each batch.
// Segments of one flow stay in order.
type coalescer struct {
	deliver func(b buffer.Buffer, frames int, verified bool)
	trusted bool // checksums are not verified

	flows [maxFlows]mergedFlow // the first n are in use
	n     int
}

// A mergedFlow is a packet that is being merged. Its slices refer to its first
// frame.
type mergedFlow struct {
	buf     buffer.Buffer
	frames  int
	ip      []byte     // IP header
	tcp     header.TCP // with options
	v6      bool
	next    uint32 // sequence number of the segment that may follow
	payload int    // bytes
	sum     uint16 // of the payload; only the last segment may have an odd length
	last    bool   // no segment may follow: push flag, or shorter than the first
	first   int    // payload bytes of the first segment
}

// segmentInfo is a frame that may be merged.
type segmentInfo struct {
	v6      bool
	ip      []byte // IP header
	tcp     header.TCP
	payload []byte
	sum     uint16 // of payload
}

// add takes over v, a frame.
func (c *coalescer) add(v *buffer.View) {
	s, kind := c.parse(v.AsSlice())
	if kind == notTCP {
		c.deliver(buffer.MakeWithView(v), 1, false)
		return
	}
	i := c.find(&s)
	if i >= 0 && (kind == single || !c.flows[i].accepts(&s)) {
		c.finish(i)
		i = -1
	}
	switch {
	case kind == single:
		c.deliver(buffer.MakeWithView(v), 1, false)
	case i >= 0:
		c.flows[i].merge(&s, v)
	default:
		if c.n == maxFlows {
			c.finish(0)
		}
		c.flows[c.n].start(&s, v)
		c.n++
	}
}

// flush delivers everything.
func (c *coalescer) flush() {
	for c.n > 0 {
		c.finish(0)
	}
}

// finish delivers flow i. The other flows keep their order, so that the oldest is
// delivered first.
func (c *coalescer) finish(i int) {
	f := &c.flows[i]
	if f.frames > 1 {
		f.patch()
	}
	buf, frames := f.buf, f.frames
	copy(c.flows[i:c.n], c.flows[i+1:c.n])
	c.n--
	c.flows[c.n] = mergedFlow{}
	c.deliver(buf, frames, true)
}

type frameKind int

const (
	notTCP frameKind = iota // belongs to no TCP flow
	single                  // belongs to a flow, but must not be merged
	mergeable
)

// parse classifies frame f and returns its parts.
func (c *coalescer) parse(f []byte) (s segmentInfo, kind frameKind) {
	ip := f[header.EthernetMinimumSize:]
	switch header.Ethernet(f).Type() {
	case header.IPv4ProtocolNumber:
		h := header.IPv4(ip)
		const versionAndLength = 0x45 // no options
		if len(ip) < header.IPv4MinimumSize+header.TCPMinimumSize || ip[0] != versionAndLength ||
			h.Protocol() != uint8(header.TCPProtocolNumber) || h.More() || h.FragmentOffset() != 0 ||
			int(h.TotalLength()) < header.IPv4MinimumSize+header.TCPMinimumSize || int(h.TotalLength()) > len(ip) {
			return s, notTCP
		}
		ip = ip[:h.TotalLength()]
		s.ip, s.tcp = ip[:header.IPv4MinimumSize], ip[header.IPv4MinimumSize:]
		if !c.trusted && !h.IsChecksumValid() {
			return s, notTCP
		}
	case header.IPv6ProtocolNumber:
		h := header.IPv6(ip)
		if len(ip) < header.IPv6MinimumSize+header.TCPMinimumSize || ip[0]>>4 != header.IPv6Version || h.NextHeader() != uint8(header.TCPProtocolNumber) ||
			int(h.PayloadLength()) < header.TCPMinimumSize || int(h.PayloadLength()) > len(ip)-header.IPv6MinimumSize {
			return s, notTCP
		}
		ip = ip[:header.IPv6MinimumSize+int(h.PayloadLength())]
		s.v6 = true
		s.ip, s.tcp = ip[:header.IPv6MinimumSize], ip[header.IPv6MinimumSize:]
	default:
		return s, notTCP
	}
	off := int(s.tcp.DataOffset())
	if off < header.TCPMinimumSize || off > len(s.tcp) {
		return s, single
	}
	s.payload, s.tcp = s.tcp[off:], s.tcp[:off]
	padded := len(ip) < len(f)-header.EthernetMinimumSize
	if len(s.payload) == 0 || padded || s.tcp.Flags()&^header.TCPFlagPsh != header.TCPFlagAck {
		return s, single
	}
	s.sum = checksum.Checksum(s.payload, 0)
	if !c.trusted && !s.valid() {
		return s, single
	}
	return s, mergeable
}

// addrs returns the two addresses in the IP header.
func addrs(ip []byte, v6 bool) []byte {
	if v6 {
		return ip[8:40]
	}
	return ip[12:20]
}

// valid reports whether the TCP checksum is right.
func (s *segmentInfo) valid() bool {
	sum := pseudoSum(addrs(s.ip, s.v6), len(s.tcp)+len(s.payload), s.sum)
	return checksum.Checksum(s.tcp, sum) == 0xffff
}

// find returns the flow that s belongs to, or -1.
func (c *coalescer) find(s *segmentInfo) int {
	for i := range c.flows[:c.n] {
		f := &c.flows[i]
		if f.v6 == s.v6 && bytes.Equal(f.tcp[:4], s.tcp[:4]) && bytes.Equal(addrs(f.ip, f.v6), addrs(s.ip, s.v6)) {
			return i
		}
	}
	return -1
}

// start begins a packet with the segment s of frame v.
func (f *mergedFlow) start(s *segmentInfo, v *buffer.View) {
	*f = mergedFlow{
		buf:   buffer.MakeWithView(v),
		ip:    s.ip,
		tcp:   s.tcp,
		v6:    s.v6,
		first: len(s.payload),
	}
	f.count(s)
}

// merge appends the segment s of frame v. It calls Append last, because Append may
// copy a short payload and release v, to which s refers.
func (f *mergedFlow) merge(s *segmentInfo, v *buffer.View) {
	f.tcp.SetFlags(uint8(f.tcp.Flags() | s.tcp.Flags()&header.TCPFlagPsh))
	f.count(s)
	v.TrimFront(header.EthernetMinimumSize + len(s.ip) + len(s.tcp))
	f.buf.Append(v)
}

func (f *mergedFlow) count(s *segmentInfo) {
	n := len(s.payload)
	f.frames++
	f.payload += n
	f.sum = checksum.Combine(f.sum, s.sum)
	f.next = s.tcp.SequenceNumber() + uint32(n)
	f.last = n < f.first || n%2 != 0 || s.tcp.Flags()&header.TCPFlagPsh != 0
}

// accepts reports whether s continues f.
func (f *mergedFlow) accepts(s *segmentInfo) bool {
	if f.last || s.tcp.SequenceNumber() != f.next || len(s.payload) > f.first ||
		len(f.ip)+len(f.tcp)+f.payload+len(s.payload) > maxMerged {
		return false
	}
	a, b := f.ip, s.ip
	if f.v6 {
		if !bytes.Equal(a[:4], b[:4]) || a[7] != b[7] { // version, traffic class, flow label; hop limit
			return false
		}
	} else if a[1] != b[1] || !bytes.Equal(a[6:9], b[6:9]) { // type of service; flags, fragment offset, time to live
		return false
	}
	// Acknowledgement, header length, window and options; the flags are ACK and
	// perhaps PSH in both, and without URG its pointer means nothing.
	return len(f.tcp) == len(s.tcp) && bytes.Equal(f.tcp[8:13], s.tcp[8:13]) && bytes.Equal(f.tcp[14:16], s.tcp[14:16]) &&
		bytes.Equal(f.tcp[header.TCPMinimumSize:], s.tcp[header.TCPMinimumSize:])
}

// patch turns the headers of the first frame into those of the merged packet.
func (f *mergedFlow) patch() {
	if f.v6 {
		header.IPv6(f.ip).SetPayloadLength(uint16(len(f.tcp) + f.payload))
	} else {
		h := header.IPv4(f.ip)
		h.SetTotalLength(uint16(len(f.ip) + len(f.tcp) + f.payload))
		h.SetChecksum(0)
		h.SetChecksum(^h.CalculateChecksum())
	}
	setTCPChecksum(f.tcp, addrs(f.ip, f.v6), f.payload, f.sum)
}
