// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// udpPacket returns a UDP packet over IPv4 with size bytes of payload, as the stack
// sends it. The caller owns it.
func udpPacket(t *testing.T, size int) *stack.PacketBuffer {
	t.Helper()
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{
		ReserveHeaderBytes: header.EthernetMinimumSize + header.IPv4MinimumSize + header.UDPMinimumSize,
		Payload:            buffer.MakeWithData(bytes.Repeat([]byte{7}, size)),
	})
	header.UDP(pkt.TransportHeader().Push(header.UDPMinimumSize)).Encode(&header.UDPFields{
		SrcPort: 1, DstPort: 2, Length: uint16(header.UDPMinimumSize + size)})
	pkt.TransportProtocolNumber = header.UDPProtocolNumber
	return addIP(pkt, header.UDPProtocolNumber)
}

// addIP adds IPv4 and Ethernet headers to pkt.
func addIP(pkt *stack.PacketBuffer, proto tcpip.TransportProtocolNumber) *stack.PacketBuffer {
	size := pkt.Size() + header.IPv4MinimumSize
	ip := header.IPv4(pkt.NetworkHeader().Push(header.IPv4MinimumSize))
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(size), TTL: 64, Protocol: uint8(proto), ID: 100,
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), DstAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 2})})
	ip.SetChecksum(^ip.CalculateChecksum())
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	return addEthernet(pkt)
}

// addEthernet adds an Ethernet header to pkt.
func addEthernet(pkt *stack.PacketBuffer) *stack.PacketBuffer {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: tcpip.LinkAddress(macA[:]), DstAddr: tcpip.LinkAddress(macB[:]), Type: pkt.NetworkProtocolNumber})
	return pkt
}

// send writes pkt and drops the caller's reference.
func send(e *netstack.Endpoint, pkt *stack.PacketBuffer) tcpip.Error {
	defer pkt.DecRef()
	var list stack.PacketBufferList
	list.PushBack(pkt)
	_, err := e.WritePackets(list)
	return err
}

// numberedPacket returns a UDP packet whose payload begins with two numbers.
func numberedPacket(i, j int) *stack.PacketBuffer {
	data := binary.BigEndian.AppendUint32(nil, uint32(i))
	data = binary.BigEndian.AppendUint32(data, uint32(j))
	data = append(data, make([]byte, 992)...)
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 14 + 20 + 8, Payload: buffer.MakeWithData(data)})
	pkt.TransportHeader().Push(header.UDPMinimumSize)
	pkt.TransportProtocolNumber = header.UDPProtocolNumber
	return addIP(pkt, header.UDPProtocolNumber)
}

// TestEndpointBackpressure fills all queues and checks that no frame is lost.
func TestEndpointBackpressure(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{Queue: 16})
	e.Attach(newRecorder())
	const senders, each = 8, 500
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				for send(e, numberedPacket(i, j)) != nil { // stalled, on a busy machine
					if err := e.Err(); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	next := make([]uint32, senders)
	buf := make([]byte, 2000)
	for range senders * each {
		n, err := b.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		data := buf[14+20+8 : n]
		i, j := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
		if j != next[i] {
			t.Fatalf("sender %d: frame %d came as %d", i, next[i], j)
		}
		next[i]++
	}
	wg.Wait()
	e.Attach(nil)
	if st := e.Stats(); dropped(st) != 0 || st.Conn.TxFrames != senders*each {
		t.Errorf("%+v", st)
	}
}

// TestEndpointStall sends to a peer that does not read. Packets that may wait do so
// until the link counts as stalled; for others, part of the queue is reserved.
func TestEndpointStall(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	const queue = 32
	e := endpoint(t, a, netstack.EndpointConfig{Queue: queue})
	e.Attach(newRecorder())
	given := uint64(0)
	for {
		given++
		if err := send(e, udpPacket(t, 1000)); err != nil {
			if _, ok := err.(*tcpip.ErrNoBufferSpace); !ok {
				t.Fatal(err)
			}
			break
		}
	}
	if st := e.Stats(); st.TxDroppedStalled != 1 || st.TxWaits == 0 {
		t.Errorf("stalled: %+v", st)
	}
	// A stalled link drops packets at once.
	given++
	if send(e, udpPacket(t, 1000)) == nil {
		t.Error("sent over a stalled link")
	}
	arp := func() *stack.PacketBuffer {
		pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 14, Payload: buffer.MakeWithData(make([]byte, 28))})
		pkt.NetworkProtocolNumber = header.ARPProtocolNumber
		return addEthernet(pkt)
	}
	for range queue {
		given++
		if err := send(e, arp()); err != nil {
			t.Fatalf("no reserve: %v", err)
		}
	}
	given++
	if send(e, arp()) == nil {
		t.Error("the reserve has no bound")
	}
	if st := e.Stats(); st.TxDroppedStalled != 2 || st.TxDroppedFull != 1 {
		t.Errorf("full: %+v", st)
	}
	// The peer reads again: all packets that were accepted arrive.
	buf := make([]byte, 2000)
	for range given - 3 {
		if _, err := b.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := send(e, udpPacket(t, 1)); err != nil {
		t.Errorf("still stalled: %v", err)
	}
	b.Read(buf)
	e.Attach(nil)
	if st := e.Stats(); st.Conn.TxFrames+st.TxDropped() != given+1 {
		t.Errorf("%d packets given: %+v", given+1, st)
	}
}

// TestEndpointTailDrop checks that a full queue drops and counts packets.
func TestEndpointTailDrop(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{Policy: netstack.TailDrop, Queue: 16})
	e.Attach(newRecorder())
	const n = 2000
	for range n {
		send(e, udpPacket(t, 1000))
	}
	buf := make([]byte, 2000)
	go func() {
		for {
			if k, err := b.Read(buf); err != nil || k == 14+20+8 {
				b.Close()
				return
			}
		}
	}()
	for send(e, udpPacket(t, 0)) != nil || b.Err() == nil { // until the last packet arrives
	}
	e.Attach(nil)
	st := e.Stats()
	if st.TxDroppedFull == 0 || st.TxWaits != 0 || st.TxDroppedStalled != 0 {
		t.Errorf("%+v", st)
	}
}

// TestEndpointTooLong sends a frame that is longer than the maximum of the
// connection.
func TestEndpointTooLong(t *testing.T) {
	t.Parallel()
	a, b := pair(t, vde.WithMaxFrameSize(1000))
	e := endpoint(t, a, netstack.EndpointConfig{MTU: 986})
	e.Attach(newRecorder())
	for _, size := range []int{10, 1400, 20} {
		if err := send(e, udpPacket(t, size)); err != nil {
			t.Fatal(err)
		}
	}
	buf := make([]byte, 2000)
	for _, want := range []int{10, 20} {
		if n, err := b.Read(buf); err != nil || n != 14+20+8+want {
			t.Fatal(n, err)
		}
	}
	e.Attach(nil)
	if st := e.Stats(); st.TxDroppedError != 1 || st.Conn.TxFrames != 2 {
		t.Errorf("%+v", st)
	}
}

// TestEndpointManyPieces sends a packet of more pieces than a frame may have.
func TestEndpointManyPieces(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{MTU: 9000})
	e.Attach(newRecorder())
	pkt := udpPacket(t, 0)
	var want []byte
	for i := range 3000 {
		pkt.Data().AppendView(buffer.NewViewWithData([]byte{byte(i)}))
		want = append(want, byte(i))
	}
	if err := send(e, pkt); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 9234)
	n, err := b.Read(buf)
	if err != nil || !bytes.Equal(buf[14+20+8:n], want) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
