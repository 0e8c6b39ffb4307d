// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// appendRecord appends a frame in the form that framesOf parses.
func appendRecord(b []byte, fix byte, f []byte) []byte {
	b = append(b, fix)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
	return append(b, f...)
}

// framesOf parses data into frames. It corrects the checksums of a frame if its
// record says so, because the fuzzer does not find correct ones.
func framesOf(data []byte) (frames [][]byte) {
	for len(data) > 3 && len(frames) < rxBatch {
		fix, n := data[0], int(binary.BigEndian.Uint16(data[1:]))
		data = data[3:]
		n = min(n, len(data))
		f := bytes.Clone(data[:n])
		data = data[n:]
		if len(f) < header.EthernetMinimumSize {
			continue // a Conn delivers whole headers only
		}
		if fix&1 != 0 {
			fixChecksums(f)
		}
		frames = append(frames, f)
	}
	return frames
}

// fixChecksums corrects the checksums of an IP packet with a TCP segment. It leaves
// other frames as they are.
func fixChecksums(f []byte) {
	ip := f[header.EthernetMinimumSize:]
	var tcp header.TCP
	v6 := header.Ethernet(f).Type() == header.IPv6ProtocolNumber
	if v6 {
		if len(ip) < header.IPv6MinimumSize {
			return
		}
		n := int(header.IPv6(ip).PayloadLength())
		tcp = ip[header.IPv6MinimumSize:]
		tcp = tcp[:min(n, len(tcp))]
	} else {
		if len(ip) < header.IPv4MinimumSize || ip[0] != 0x45 {
			return // with options, nothing is merged
		}
		h := header.IPv4(ip[:header.IPv4MinimumSize])
		n := int(h.TotalLength()) - header.IPv4MinimumSize
		h.SetChecksum(0)
		h.SetChecksum(^h.CalculateChecksum())
		tcp = ip[header.IPv4MinimumSize:]
		tcp = tcp[:max(0, min(n, len(tcp)))]
	}
	if len(tcp) >= header.TCPMinimumSize {
		setTCPChecksum(tcp, addrs(ip, v6), 0, 0)
	}
}

// FuzzReceive gives the coalescer arbitrary frames in one batch. Each frame is
// delivered once: unchanged, or with its payload in a valid packet, after the payload
// of the frames before it.
func FuzzReceive(f *testing.F) {
	var all []byte
	for i, s := range []testSegment{
		{flags: header.TCPFlagAck, payload: data(1400, 1), ttl: 64},
		{flags: header.TCPFlagAck, payload: data(1400, 2), ttl: 64, seq: 1400},
		{flags: header.TCPFlagAck | header.TCPFlagPsh, payload: data(7, 3), ttl: 64, seq: 2800},
		{v6: true, flow: 1, flags: header.TCPFlagAck, payload: data(99, 4), ttl: 1},
		{v6: true, flow: 1, flags: header.TCPFlagAck, payload: data(99, 5), ttl: 1, seq: 99},
		{flow: 2, flags: header.TCPFlagSyn, options: []byte{2, 4, 5, 180}, ttl: 64},
		{flow: 2, flags: header.TCPFlagAck, payload: data(60, 6), corrupt: true, ttl: 64},
		{flow: 2, flags: header.TCPFlagAck, payload: data(60, 6), padding: 9, ttl: 64},
	} {
		b := appendRecord(nil, byte(i), s.frame())
		f.Add(b)
		all = append(all, b...)
	}
	f.Add(all)
	f.Add(appendRecord(nil, 0, bytes.Repeat([]byte{0xff}, 60)))
	f.Fuzz(func(t *testing.T, in []byte) {
		frames := framesOf(in)
		d := &deliveredFrames{left: frames}
		c := &coalescer{deliver: func(b buffer.Buffer, n int, verified bool) {
			defer b.Release()
			d.check(t, b.Flatten(), n, verified)
		}}
		for _, f := range frames {
			c.add(buffer.NewViewWithData(f))
		}
		c.flush()
		if d.total != len(frames) || len(d.left) > 0 {
			t.Fatalf("%d of %d frames were delivered", d.total, len(frames))
		}
	})
}

// deliveredFrames compares the packets of a coalescer with the frames it received.
type deliveredFrames struct {
	left  [][]byte // frames that have not been delivered
	total int      // frames delivered
}

// check checks the packet got, which consists of n frames.
func (d *deliveredFrames) check(t *testing.T, got []byte, n int, verified bool) {
	d.total += n
	if verified && !parsePacket(t, got, n).valid {
		t.Fatalf("a packet with a wrong checksum was delivered as verified:\n%x", got)
	}
	if n == 1 {
		i := slices.IndexFunc(d.left, func(f []byte) bool { return bytes.Equal(f, got) })
		if i < 0 {
			t.Fatalf("no such frame was received:\n%x", got)
		}
		d.left = slices.Concat(d.left[:i], d.left[i+1:])
		return
	}
	p := parsePacket(t, got, n)
	if !p.valid || len(got) > maxMerged+header.EthernetMinimumSize {
		t.Fatalf("%d frames were merged to an invalid packet of %d bytes", n, len(got))
	}
	seq, rest := p.tcp.SequenceNumber(), p.payload
	for range n {
		part := takePart(t, &d.left, got, seq)
		if !bytes.HasPrefix(rest, part) {
			t.Fatalf("at %d, the packet does not continue with a received segment", seq)
		}
		rest = rest[len(part):]
		seq += uint32(len(part))
	}
	if len(rest) > 0 {
		t.Fatalf("%d bytes that were not received", len(rest))
	}
}

// takePart removes from left the frame with the part of packet from seq on, and
// returns its payload.
func takePart(t *testing.T, left *[][]byte, packet []byte, seq uint32) []byte {
	for i, f := range *left {
		if header.Ethernet(f).Type() != header.Ethernet(packet).Type() {
			continue
		}
		ip, of := f[header.EthernetMinimumSize:], packet[header.EthernetMinimumSize:]
		ports := header.IPv4MinimumSize
		v6 := header.Ethernet(f).Type() == header.IPv6ProtocolNumber
		if v6 {
			ports = header.IPv6MinimumSize
		}
		if len(ip) < ports+header.TCPMinimumSize || !bytes.Equal(addrs(ip, v6), addrs(of, v6)) || !bytes.Equal(ip[ports:ports+4], of[ports:ports+4]) {
			continue
		}
		tcp := header.TCP(ip[ports:])
		if off := int(tcp.DataOffset()); tcp.SequenceNumber() == seq && off <= len(tcp) && len(tcp) > off {
			*left = append((*left)[:i:i], (*left)[i+1:]...)
			return tcp[off:]
		}
	}
	t.Fatalf("no frame was received with the part from %d on", seq)
	return nil
}
