// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"encoding/binary"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// appendRecord appends a frame in the form that strangersFrames takes apart.
func appendRecord(b []byte, mend byte, f []byte) []byte {
	b = append(b, mend)
	b = binary.BigEndian.AppendUint16(b, uint16(len(f)))
	return append(b, f...)
}

// strangersFrames takes data apart into frames. If a record asks for it, the
// checksums in its frame are made right, which chance alone would not.
func strangersFrames(data []byte) (frames [][]byte) {
	for len(data) > 3 && len(frames) < rxBatch {
		mend, n := data[0], int(binary.BigEndian.Uint16(data[1:]))
		data = data[3:]
		n = min(n, len(data))
		f := bytes.Clone(data[:n])
		data = data[n:]
		if len(f) < header.EthernetMinimumSize {
			continue // a Conn delivers whole headers only
		}
		if mend&1 != 0 {
			mendChecksums(f)
		}
		frames = append(frames, f)
	}
	return frames
}

// mendChecksums makes the checksums of an IP packet with TCP right, as far as
// there is one.
func mendChecksums(f []byte) {
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

// FuzzReceive gives the coalescer whatever a stranger may send in one batch.
// Each frame comes out once: alone and as it was, or as the part of a valid packet
// that its payload is, behind that of the frames before it.
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
		frames := strangersFrames(in)
		left := frames
		total := 0
		c := &coalescer{deliver: func(b buffer.Buffer, n int, verified bool) {
			defer b.Release()
			total += n
			got := b.Flatten()
			if verified && !takeApart(t, got, n).valid {
				t.Fatalf("what is wrong was said to have been verified:\n%x", got)
			}
			if n == 1 {
				for i, f := range left {
					if bytes.Equal(f, got) {
						left = append(left[:i:i], left[i+1:]...)
						return
					}
				}
				t.Fatalf("no such frame was received:\n%x", got)
			}
			p := takeApart(t, got, n)
			if !p.valid || len(got) > maxMerged+header.EthernetMinimumSize {
				t.Fatalf("%d frames make a packet of %d bytes that is not valid", n, len(got))
			}
			seq, rest := p.tcp.SequenceNumber(), p.payload
			for range n {
				part := takePart(t, &left, got, seq)
				if !bytes.HasPrefix(rest, part) {
					t.Fatalf("at %d, the packet does not go on with what was received", seq)
				}
				rest = rest[len(part):]
				seq += uint32(len(part))
			}
			if len(rest) > 0 {
				t.Fatalf("%d bytes that nobody sent", len(rest))
			}
		}}
		for _, f := range frames {
			c.add(buffer.NewViewWithData(f))
		}
		c.flush()
		if total != len(frames) || len(left) > 0 {
			t.Fatalf("%d of %d frames were delivered", total, len(frames))
		}
	})
}

// takePart takes, from left, the frame that holds what packet has from seq on,
// and returns its payload.
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
	t.Fatalf("nobody sent what is at %d", seq)
	return nil
}
