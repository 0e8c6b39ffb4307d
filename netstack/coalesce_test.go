// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// A testSegment describes a frame for the coalescer.
type testSegment struct {
	flow    int
	v6      bool
	seq     uint32
	ack     uint32
	flags   header.TCPFlags
	window  uint16
	options []byte
	payload []byte
	corrupt bool // wrong checksum
	padding int  // bytes after the IP packet
	ttl     uint8
}

// frame returns the frame of the segment.
func (s *testSegment) frame() []byte {
	tcp := header.TCP(make([]byte, header.TCPMinimumSize+len(s.options)+len(s.payload)))
	tcp.Encode(&header.TCPFields{SrcPort: uint16(1000 + s.flow), DstPort: 80, SeqNum: s.seq, AckNum: s.ack,
		DataOffset: uint8(header.TCPMinimumSize + len(s.options)), Flags: s.flags, WindowSize: s.window})
	copy(tcp[header.TCPMinimumSize:], s.options)
	copy(tcp[header.TCPMinimumSize+len(s.options):], s.payload)
	f := make([]byte, header.EthernetMinimumSize, 2000)
	if s.v6 {
		binary.BigEndian.PutUint16(f[12:], uint16(header.IPv6ProtocolNumber))
		ip := make([]byte, header.IPv6MinimumSize)
		header.IPv6(ip).Encode(&header.IPv6Fields{PayloadLength: uint16(len(tcp)), TransportProtocol: header.TCPProtocolNumber, HopLimit: s.ttl,
			SrcAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 1}), DstAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 2})})
		f = append(f, ip...)
	} else {
		binary.BigEndian.PutUint16(f[12:], uint16(header.IPv4ProtocolNumber))
		ip := header.IPv4(make([]byte, header.IPv4MinimumSize))
		ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(ip) + len(tcp)), TTL: s.ttl, Protocol: uint8(header.TCPProtocolNumber),
			Flags: header.IPv4FlagDontFragment, SrcAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), DstAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 2})})
		ip.SetChecksum(^ip.CalculateChecksum())
		f = append(f, ip...)
	}
	setTCPChecksum(tcp, addrs(f[header.EthernetMinimumSize:], s.v6), 0, 0) // all of it is header to this function
	if s.corrupt {
		tcp.SetChecksum(tcp.Checksum() ^ 0x1234)
	}
	f = append(f, tcp...)
	return append(f, make([]byte, s.padding)...)
}

// A testPacket is a packet that the coalescer has delivered.
type testPacket struct {
	v6      bool
	tcp     header.TCP // whole
	valid   bool
	frames  int
	payload []byte
}

// parsePacket parses b, which consists of the given number of frames.
func parsePacket(t testing.TB, b []byte, frames int) testPacket {
	t.Helper()
	p := testPacket{frames: frames, v6: header.Ethernet(b).Type() == header.IPv6ProtocolNumber}
	ip := b[header.EthernetMinimumSize:]
	var src, dst tcpip.Address
	if p.v6 {
		h := header.IPv6(ip)
		if !h.IsValid(len(ip)) {
			t.Fatalf("bad IPv6 header %x", ip[:40])
		}
		p.tcp, src, dst = h.Payload(), h.SourceAddress(), h.DestinationAddress()
	} else {
		h := header.IPv4(ip)
		if !h.IsValid(len(ip)) || !h.IsChecksumValid() {
			t.Fatalf("bad IPv4 header %x", ip[:20])
		}
		p.tcp, src, dst = h.Payload(), h.SourceAddress(), h.DestinationAddress()
	}
	p.payload = p.tcp[p.tcp.DataOffset():]
	p.valid = p.tcp.IsChecksumValid(src, dst, checksum.Checksum(p.payload, 0), uint16(len(p.payload)))
	return p
}

// coalesce runs segments through a coalescer that is flushed at the end.
func coalesce(t testing.TB, segments ...testSegment) (out []testPacket) {
	c := &coalescer{deliver: func(b buffer.Buffer, frames int, verified bool) {
		p := parsePacket(t, b.Flatten(), frames)
		if verified && !p.valid {
			t.Error("a packet with a wrong checksum was delivered as verified")
		}
		out = append(out, p)
		b.Release()
	}}
	for i := range segments {
		c.add(buffer.NewViewWithData(segments[i].frame()))
	}
	c.flush()
	return out
}

// data returns n bytes.
func data(n int, first byte) []byte { return bytes.Repeat([]byte{first, first + 1}, n/2+1)[:n] }

// mergeBase and mergeNext return two segments of a flow that are merged. The
// sequence numbers wrap between them.
func mergeBase() testSegment {
	return testSegment{seq: 1<<32 - 1000, ack: 7, flags: header.TCPFlagAck, window: 500, ttl: 64,
		options: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, payload: data(1000, 1)}
}

func mergeNext() testSegment {
	s := mergeBase()
	s.seq, s.payload = 0, data(1000, 50)
	return s
}

// TestCoalesce merges a segment with others that do not, or do, differ from
// mergeNext.
func TestCoalesce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(s *testSegment) // of mergeNext
		want   int                  // packets
	}{
		{"next", func(s *testSegment) {}, 1},
		{"shorter", func(s *testSegment) { s.payload = data(999, 9) }, 1},
		{"push", func(s *testSegment) { s.flags |= header.TCPFlagPsh }, 1},
		{"longer", func(s *testSegment) { s.payload = data(1001, 9) }, 2},
		{"gap", func(s *testSegment) { s.seq++ }, 2},
		{"duplicate", func(s *testSegment) { *s = mergeBase() }, 2},
		{"other acknowledgement", func(s *testSegment) { s.ack++ }, 2},
		{"other window", func(s *testSegment) { s.window++ }, 2},
		{"other options", func(s *testSegment) { s.options[7]++ }, 2},
		{"no options", func(s *testSegment) { s.options = nil }, 2},
		{"other TTL", func(s *testSegment) { s.ttl-- }, 2},
		{"other flow", func(s *testSegment) { s.flow++ }, 2},
		{"other family", func(s *testSegment) { s.v6 = !s.v6 }, 2},
		{"end", func(s *testSegment) { s.flags |= header.TCPFlagFin }, 2},
		{"reset", func(s *testSegment) { s.flags |= header.TCPFlagRst }, 2},
		{"urgent", func(s *testSegment) { s.flags |= header.TCPFlagUrg }, 2},
		{"congestion", func(s *testSegment) { s.flags |= header.TCPFlagEce }, 2},
		{"no payload", func(s *testSegment) { s.payload = nil }, 2},
		{"corrupt", func(s *testSegment) { s.corrupt = true }, 2},
		{"padded", func(s *testSegment) { s.padding = 3 }, 2},
	} {
		for _, v6 := range []bool{false, true} {
			a, b := mergeBase(), mergeNext()
			c.change(&b)
			a.v6 = a.v6 != v6
			b.v6 = b.v6 != v6
			got := coalesce(t, a, b)
			if len(got) != c.want {
				t.Errorf("%s, v6 %v: %d packets, not %d", c.name, v6, len(got), c.want)
				continue
			}
			all := append(bytes.Clone(a.payload), b.payload...)
			if c.want == 1 {
				p := got[0]
				if !p.valid || p.frames != 2 || !bytes.Equal(p.payload, all) || p.tcp.SequenceNumber() != a.seq || p.tcp.Flags() != a.flags|b.flags {
					t.Errorf("%s, v6 %v: merged to %x", c.name, v6, []byte(p.tcp[:32]))
				}
			}
		}
	}
}

// TestCoalesceLastSegment checks that no segment is merged after a push or after a
// segment shorter than the first.
func TestCoalesceLastSegment(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*testSegment){
		func(s *testSegment) { s.flags |= header.TCPFlagPsh },
		func(s *testSegment) { s.payload = s.payload[:999] },
	} {
		second, third := mergeNext(), mergeNext()
		change(&second)
		third.seq = second.seq + uint32(len(second.payload))
		if got := coalesce(t, mergeBase(), second, third); len(got) != 2 || got[0].frames != 2 || got[1].frames != 1 {
			t.Errorf("%d packets", len(got))
		}
	}
}

// TestCoalesceRandom merges random segments, and checks that none is lost, changed or
// out of order within its flow.
func TestCoalesceRandom(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rounds := 300
	if testing.Short() {
		rounds = 30
	}
	for round := range rounds {
		testCoalesce(t, rand.New(rand.NewPCG(seed, uint64(round))))
	}
}

// FuzzCoalesce is TestCoalesceRandom with seeds of the fuzzer.
func FuzzCoalesce(f *testing.F) {
	for i := range uint64(8) {
		f.Add(i, ^i)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) { testCoalesce(t, rand.New(rand.NewPCG(a, b))) })
}

// A flowKey is the part of a segment that tells flows of the test apart.
type flowKey struct {
	v6   bool
	port uint16
}

// A sentSegment is a segment that has to be delivered.
type sentSegment struct {
	seq     uint32
	payload []byte
	valid   bool
}

// randomSegments returns segments of several flows, most of which can be merged, and
// the list of those of each flow.
func randomSegments(r *rand.Rand) (segments []testSegment, want map[flowKey][]sentSegment) {
	want = make(map[flowKey][]sentSegment)
	next := make(map[int]uint32)
	flow := 0
	for range 1 + r.IntN(200) {
		if r.IntN(5) == 0 {
			flow = r.IntN(12) // more than are merged at a time
		}
		s := testSegment{flow: flow, v6: flow%2 == 1, seq: next[flow], ack: 1, flags: header.TCPFlagAck, window: 1000, ttl: 64, payload: make([]byte, 1400)}
		switch r.IntN(20) {
		case 0:
			s.seq += uint32(r.IntN(3000))
		case 1:
			s.payload = s.payload[:r.IntN(1400)]
		case 2:
			s.flags |= header.TCPFlags(1 << r.IntN(6))
		case 3:
			s.corrupt = true
		case 4:
			s.padding = r.IntN(40)
		case 5:
			s.ack += uint32(r.IntN(2))
		}
		for i := range s.payload {
			s.payload[i] = byte(r.Uint32())
		}
		next[flow] = s.seq + uint32(len(s.payload))
		segments = append(segments, s)
		k := flowKey{s.v6, uint16(1000 + s.flow)}
		want[k] = append(want[k], sentSegment{s.seq, s.payload, !s.corrupt})
	}
	return segments, want
}

func testCoalesce(t *testing.T, r *rand.Rand) {
	segments, want := randomSegments(r)
	frames := 0
	for _, p := range coalesce(t, segments...) {
		frames += p.frames
		k := flowKey{p.v6, p.tcp.SourcePort()}
		want[k] = checkMerged(t, p, want[k])
	}
	if frames != len(segments) {
		t.Fatalf("%d of %d frames", frames, len(segments))
	}
}

// checkMerged checks that p consists of the first segments of want, and returns the
// rest of want.
func checkMerged(t *testing.T, p testPacket, want []sentSegment) []sentSegment {
	t.Helper()
	if p.frames == 1 && len(want) > 0 && p.valid != want[0].valid {
		t.Fatalf("checksum valid: %v, not %v", p.valid, want[0].valid)
	}
	if p.frames > 1 && (!p.valid || len(p.payload) > maxMerged) {
		t.Fatalf("%d frames were merged to an invalid packet of %d bytes", p.frames, len(p.payload))
	}
	seq, rest := p.tcp.SequenceNumber(), p.payload
	for range p.frames {
		if len(want) == 0 {
			t.Fatal("more segments than were sent")
		}
		w := want[0]
		want = want[1:]
		if len(rest) < len(w.payload) || seq != w.seq || !bytes.Equal(rest[:len(w.payload)], w.payload) {
			t.Fatal("lost, changed or out of order")
		}
		if p.frames == 1 {
			rest = rest[:len(w.payload)] // the rest of a single frame is padding
		}
		rest = rest[len(w.payload):]
		seq += uint32(len(w.payload))
	}
	if len(rest) != 0 {
		t.Fatal("more bytes than were sent")
	}
	return want
}
