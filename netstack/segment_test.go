// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/netstack"
)

// The segments of TestEndpointSegments.
const (
	segmentMSS     = 1000
	segmentOptions = 12 // bytes
	segmentSeq     = 0xfffff000
)

// gsoPacket returns a TCP packet with data, in pieces that do not match the segments.
// The caller owns it.
func gsoPacket(data []byte, v6 bool) *stack.PacketBuffer {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 14 + 40 + 20 + segmentOptions})
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 777)
		pkt.Data().AppendView(buffer.NewViewWithData(rest[:n]))
		rest = rest[n:]
	}
	const flags = header.TCPFlagAck | header.TCPFlagPsh | header.TCPFlagFin | header.TCPFlagCwr
	header.TCP(pkt.TransportHeader().Push(20 + segmentOptions)).Encode(&header.TCPFields{
		SrcPort: 80, DstPort: 5000, SeqNum: segmentSeq, AckNum: 5, DataOffset: 20 + segmentOptions, Flags: flags, WindowSize: 99})
	pkt.TransportProtocolNumber = header.TCPProtocolNumber
	pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: segmentMSS}
	if !v6 {
		return addIP(pkt, header.TCPProtocolNumber)
	}
	pkt.GSOOptions.Type = stack.GSOTCPv6
	length := uint16(pkt.Size())
	header.IPv6(pkt.NetworkHeader().Push(header.IPv6MinimumSize)).Encode(&header.IPv6Fields{
		PayloadLength: length, TransportProtocol: header.TCPProtocolNumber, HopLimit: 64,
		SrcAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 1}), DstAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 2})})
	pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
	return addEthernet(pkt)
}

// contents returns a copy of the bytes of pkt.
func contents(pkt *stack.PacketBuffer) []byte {
	v := pkt.ToView()
	defer v.Release()
	return bytes.Clone(v.AsSlice())
}

// TestEndpointSegments sends GSO packets and checks each segment.
func TestEndpointSegments(t *testing.T) {
	t.Parallel()
	for _, v6 := range []bool{false, true} {
		for _, size := range []int{0, 1, 999, 1000, 1001, 5000, 60001} {
			t.Run(fmt.Sprintf("v6=%v/size=%d", v6, size), func(t *testing.T) { testSegments(t, size, v6) })
		}
	}
}

func testSegments(t *testing.T, size int, v6 bool) {
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{})
	e.Attach(newRecorder())
	data, _ := io.ReadAll(io.LimitReader(rand.NewChaCha8([32]byte{9}), int64(size)))
	pkt := gsoPacket(data, v6)
	defer pkt.DecRef()
	before := contents(pkt)
	if err := send(e, pkt.IncRef()); err != nil {
		t.Fatal(err)
	}
	n := max(1, (size+segmentMSS-1)/segmentMSS)
	var got []byte
	buf := make([]byte, 2000)
	for i := range n {
		k, err := b.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, checkSegment(t, buf[:k], v6, i, n)...)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes became %d, or others", size, len(got))
	}
	e.Attach(nil)
	if !bytes.Equal(contents(pkt), before) {
		t.Error("the packet of the stack was changed")
	}
	if st := e.Stats(); st.Conn.TxFrames != uint64(n) || n > 1 && st.Conn.TxCalls > uint64(n) {
		t.Errorf("%+v", st.Conn)
	}
}

// checkSegment checks f, segment i of n of a gsoPacket, and returns its payload.
func checkSegment(t *testing.T, f []byte, v6 bool, i, n int) []byte {
	t.Helper()
	tcp, src, dst := checkIP(t, f, v6, uint16(100+i))
	if !tcp.IsChecksumValid(src, dst, checksum.Checksum(tcp.Payload(), 0), uint16(len(tcp.Payload()))) {
		t.Errorf("segment %d has a wrong checksum", i)
	}
	flags := header.TCPFlags(header.TCPFlagAck)
	if i == 0 {
		flags |= header.TCPFlagCwr
	}
	if i == n-1 {
		flags |= header.TCPFlagPsh | header.TCPFlagFin
	}
	if tcp.SequenceNumber() != segmentSeq+uint32(i*segmentMSS) || tcp.Flags() != flags || tcp.AckNumber() != 5 || tcp.WindowSize() != 99 {
		t.Errorf("segment %d is %x", i, []byte(tcp[:20+segmentOptions]))
	}
	return tcp.Payload()
}

// checkIP checks the IP header of f and returns the TCP segment and the addresses.
func checkIP(t *testing.T, f []byte, v6 bool, id uint16) (header.TCP, tcpip.Address, tcpip.Address) {
	t.Helper()
	if v6 {
		h := header.IPv6(f[14:])
		if !h.IsValid(len(f)-14) || int(h.PayloadLength()) != len(h)-40 {
			t.Errorf("bad header %x", f[14:54])
		}
		return header.TCP(h.Payload()), h.SourceAddress(), h.DestinationAddress()
	}
	h := header.IPv4(f[14:])
	if !h.IsValid(len(f)-14) || !h.IsChecksumValid() || int(h.TotalLength()) != len(h) || h.ID() != id {
		t.Errorf("bad header %x", f[14:34])
	}
	return header.TCP(h.Payload()), h.SourceAddress(), h.DestinationAddress()
}
