// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

var (
	macA = frame.MAC{2, 0, 0, 0, 0, 1}
	macB = frame.MAC{2, 0, 0, 0, 0, 2}
)

// A recorder is the dispatcher of a stack that only looks.
type recorder struct {
	mu      sync.Mutex
	packets [][]byte // whole frames, link header included
	link    int
	more    chan struct{}
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{}, 1)} }

func (r *recorder) DeliverNetworkPacket(_ tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	b := bytes.Clone(pkt.LinkHeader().Slice())
	b = append(b, pkt.Data().AsRange().ToSlice()...)
	r.mu.Lock()
	r.packets = append(r.packets, b)
	r.mu.Unlock()
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func (r *recorder) DeliverLinkPacket(tcpip.NetworkProtocolNumber, *stack.PacketBuffer) {
	r.mu.Lock()
	r.link++
	r.mu.Unlock()
}

// wait returns the first n packets when they are there.
func (r *recorder) wait(t *testing.T, n int) [][]byte {
	t.Helper()
	for {
		r.mu.Lock()
		if len(r.packets) >= n {
			defer r.mu.Unlock()
			return slices.Clone(r.packets)
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-bound(t).Done():
			t.Fatalf("waiting for %d packets", n)
		}
	}
}

func endpoint(t *testing.T, c *vde.Conn, cfg netstack.EndpointConfig) *netstack.Endpoint {
	t.Helper()
	if cfg.MAC == (frame.MAC{}) {
		cfg.MAC = macA
	}
	e, err := netstack.NewEndpoint(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// ethernet builds a frame.
func ethernet(dst frame.MAC, typ frame.EtherType, payload ...byte) []byte {
	return append(frame.AppendHeader(nil, dst, macB, typ), payload...)
}

func TestEndpointProperties(t *testing.T) {
	c, _ := pair(t)
	e, err := netstack.NewEndpoint(c, netstack.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if m := e.MAC(); m.IsGroup() || !m.IsLocal() {
		t.Errorf("default address %v is not a local station's", m)
	}
	if e.MTU() != 1500 || e.MaxHeaderLength() != 14 || e.ARPHardwareType() != header.ARPHardwareEther {
		t.Error("not Ethernet")
	}
	if e.Capabilities() != stack.CapabilityResolutionRequired {
		t.Errorf("claims %b by default", e.Capabilities())
	}
	e.SetMTU(9000)
	if e.MTU() != 9000 {
		t.Error("SetMTU has no effect")
	}
	e.SetLinkAddress(tcpip.LinkAddress(macB[:]))
	if e.LinkAddress() != tcpip.LinkAddress(macB[:]) || e.MAC() != macB {
		t.Error("SetLinkAddress has no effect")
	}
	e.SetLinkAddress("long nonsense")
	if e.MAC() != macB {
		t.Error("SetLinkAddress took nonsense")
	}
	if e.IsAttached() || e.Err() != nil {
		t.Error("attached or ended before the start")
	}
	e.Wait() // nothing runs
	e.Attach(nil)

	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: int(e.MaxHeaderLength()), Payload: buffer.MakeWithData([]byte{1, 2})})
	pkt.NetworkProtocolNumber = header.ARPProtocolNumber
	pkt.EgressRoute.LocalLinkAddress, pkt.EgressRoute.RemoteLinkAddress = tcpip.LinkAddress(macA[:]), tcpip.LinkAddress(macB[:])
	e.AddHeader(pkt)
	v := pkt.ToView()
	pkt.DecRef()
	if want := append(frame.AppendHeader(nil, macB, macA, 0x0806), 1, 2); !bytes.Equal(v.AsSlice(), want) {
		t.Errorf("header %x", v.AsSlice())
	}
	pkt = stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithView(v)})
	if !e.ParseHeader(pkt) || pkt.NetworkProtocolNumber != header.ARPProtocolNumber || pkt.Data().Size() != 2 {
		t.Error("ParseHeader does not undo AddHeader")
	}
	pkt.DecRef()
	pkt = stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(make([]byte, 13))})
	if e.ParseHeader(pkt) {
		t.Error("13 bytes have a header")
	}
	pkt.DecRef()

	for _, bad := range []netstack.EndpointConfig{{MTU: 67}, {MTU: netstack.MaxMTU + 1}, {MAC: frame.Broadcast()}, {Queue: -1}, {Processors: -1}} {
		if _, err := netstack.NewEndpoint(c, bad); err == nil {
			t.Errorf("%+v is fine", bad)
		}
	}
	if _, err := netstack.NewEndpoint(nil, netstack.EndpointConfig{}); err == nil {
		t.Error("no connection is fine")
	}
	trusting := endpoint(t, open1(t), netstack.EndpointConfig{NoChecksums: true})
	if want := stack.CapabilityResolutionRequired | stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload; trusting.Capabilities() != want {
		t.Errorf("claims %b without checksums", trusting.Capabilities())
	}
}

func open1(t *testing.T) *vde.Conn {
	c, _ := pair(t)
	return c
}

func TestEndpointFilter(t *testing.T) {
	for _, promiscuous := range []bool{false, true} {
		a, b := pair(t)
		e := endpoint(t, a, netstack.EndpointConfig{Promiscuous: promiscuous, DeliverLinkPackets: true})
		r := newRecorder()
		e.Attach(r)
		group := frame.MAC{0x33, 0x33, 0, 0, 0, 1}
		var want [][]byte
		for i, dst := range []frame.MAC{macA, macB, frame.Broadcast(), {2, 0, 0, 0, 0, 3}, group, macA} {
			// Sizes on both sides of the limit up to which frames are copied.
			f := ethernet(dst, 0x88B5, bytes.Repeat([]byte{byte(i)}, 100*(i+1))...)
			if dst == macA || dst.IsGroup() || promiscuous {
				want = append(want, f)
			}
			if _, err := b.Write(f); err != nil {
				t.Fatal(err)
			}
		}
		got := r.wait(t, len(want))
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("promiscuous %v: got %d frames, want %d, or others", promiscuous, len(got), len(want))
		}
		e.Attach(nil)
		st := e.Stats()
		if st.RxDelivered != uint64(len(want)) || st.RxFiltered != uint64(6-len(want)) || st.Conn.RxFrames != 6 {
			t.Errorf("promiscuous %v: %+v", promiscuous, st)
		}
		if r.link != len(want) {
			t.Errorf("%d frames for packet sockets, not %d", r.link, len(want))
		}
		// Another address.
		e.SetLinkAddress(tcpip.LinkAddress(macB[:]))
		e.Attach(r)
		b.Write(ethernet(macB, 0x88B5, 9))
		if got := r.wait(t, len(want)+1); got[len(want)][14] != 9 {
			t.Error("the new address gets nothing")
		}
	}
}

// TestEndpointLife attaches, detaches and attaches again, with traffic.
func TestEndpointLife(t *testing.T) {
	a, b := pair(t)
	actions := 0
	ended := make(chan error, 2)
	e := endpoint(t, a, netstack.EndpointConfig{OnEnd: func(err error) { ended <- err }})
	e.SetOnCloseAction(func() { actions++ })
	n := byte(0)
	for range 20 {
		r := newRecorder()
		e.Attach(r)
		e.Attach(newRecorder()) // no effect
		if !e.IsAttached() {
			t.Fatal("not attached")
		}
		n++
		b.Write(ethernet(macA, 0x88B5, n))
		if got := r.wait(t, 1); got[0][14] != n {
			t.Fatalf("got %d, not %d", got[0][14], n)
		}
		e.Attach(nil)
		if e.IsAttached() {
			t.Fatal("still attached")
		}
		e.Wait()
		if err := send(e, udpPacket(t, 10)); err == nil {
			t.Fatal("sent while detached")
		}
	}
	r := newRecorder()
	e.Attach(r)
	e.Close()
	e.Close()
	e.Wait()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	if actions != 1 || e.IsAttached() || !errors.Is(e.Err(), net.ErrClosed) || !errors.Is(a.Err(), net.ErrClosed) {
		t.Errorf("after Close: %d actions, attached %v, %v, %v", actions, e.IsAttached(), e.Err(), a.Err())
	}
	e.Attach(r)
	if e.IsAttached() {
		t.Error("attached after Close")
	}
	if _, err := netstack.NewEndpoint(a, netstack.EndpointConfig{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("endpoint on a closed connection: %v", err)
	}
}

func TestEndpointHangup(t *testing.T) {
	sw, a, b := cable(t)
	ended := make(chan error, 2)
	var e *netstack.Endpoint
	e = endpoint(t, a, netstack.EndpointConfig{OnEnd: func(err error) {
		e.Close()
		ended <- err
	}})
	r := newRecorder()
	e.Attach(r)
	// Something in the kernel's queue and something in ours.
	b.Write(ethernet(macA, 0x88B5, 1))
	for range 300 {
		if send(e, udpPacket(t, 1400)) != nil {
			break
		}
	}
	sw.HangupAll()
	if err := <-ended; !errors.Is(err, vde.ErrHangup) {
		t.Errorf("ended with %v", err)
	}
	e.Wait()
	if e.IsAttached() || !errors.Is(e.Err(), vde.ErrHangup) {
		t.Errorf("attached %v, %v", e.IsAttached(), e.Err())
	}
	<-e.Context().Done()
	if err := send(e, udpPacket(t, 1)); err == nil {
		t.Error("sent after the end")
	}
	if got := r.wait(t, 1); got[0][14] != 1 {
		t.Error("lost a frame that was there before")
	}
}

// udpPacket is a packet of UDP over IPv4 with size bytes, as the stack hands it
// down. The caller owns it.
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

func addIP(pkt *stack.PacketBuffer, proto tcpip.TransportProtocolNumber) *stack.PacketBuffer {
	size := pkt.Size() + header.IPv4MinimumSize
	ip := header.IPv4(pkt.NetworkHeader().Push(header.IPv4MinimumSize))
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(size), TTL: 64, Protocol: uint8(proto), ID: 100,
		SrcAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), DstAddr: tcpip.AddrFrom4([4]byte{10, 0, 0, 2})})
	ip.SetChecksum(^ip.CalculateChecksum())
	pkt.NetworkProtocolNumber = header.IPv4ProtocolNumber
	return addEthernet(pkt)
}

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

// TestEndpointWaits fills every queue and finds all frames at the other side.
func TestEndpointWaits(t *testing.T) {
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{Queue: 16})
	e.Attach(newRecorder())
	const senders, each = 8, 500
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				pkt := udpPacket(t, 1000)
				data := pkt.Data().AsRange().ToSlice()
				binary.BigEndian.PutUint32(data, uint32(i))
				binary.BigEndian.PutUint32(data[4:], uint32(j))
				pkt.DecRef()
				pkt = stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 14 + 20 + 8, Payload: buffer.MakeWithData(data)})
				pkt.TransportHeader().Push(header.UDPMinimumSize)
				pkt.TransportProtocolNumber = header.UDPProtocolNumber
				if err := send(e, addIP(pkt, header.UDPProtocolNumber)); err != nil {
					t.Error(err)
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
	if st := e.Stats(); st.TxDropped() != 0 || st.Conn.TxFrames != senders*each {
		t.Errorf("%+v", st)
	}
}

// TestEndpointStall sends to a peer that does not read: what can wait waits, for
// a while; the rest finds its reserve.
func TestEndpointStall(t *testing.T) {
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
	// Now at once, and resets do not even try.
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
		t.Error("endless reserve")
	}
	if st := e.Stats(); st.TxDroppedStalled != 2 || st.TxDroppedFull != 1 {
		t.Errorf("full: %+v", st)
	}
	// The peer wakes up: everything that was accepted arrives.
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

// TestEndpointDrops lets a full queue drop, and adds up.
func TestEndpointDrops(t *testing.T) {
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{Full: netstack.DropWhenFull, Queue: 16})
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
	for send(e, udpPacket(t, 0)) != nil || b.Err() == nil { // the last one, until it arrives
	}
	e.Attach(nil)
	st := e.Stats()
	if st.TxDroppedFull == 0 || st.TxWaits != 0 || st.TxDroppedStalled != 0 {
		t.Errorf("%+v", st)
	}
}

// TestEndpointTooLong sends a frame that the connection refuses.
func TestEndpointTooLong(t *testing.T) {
	a, b := pair(t, vde.WithMaxFrameSize(1000))
	e := endpoint(t, a, netstack.EndpointConfig{})
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

// TestEndpointSegments cuts long packets of TCP and checks every frame.
func TestEndpointSegments(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, size := range []int{0, 1, 999, 1000, 1001, 5000, 60001} {
			a, b := pair(t)
			e := endpoint(t, a, netstack.EndpointConfig{})
			e.Attach(newRecorder())
			const mss, options = 1000, 12
			data, _ := io.ReadAll(io.LimitReader(rand.NewChaCha8([32]byte{9}), int64(size)))
			pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{ReserveHeaderBytes: 14 + 40 + 20 + options})
			for rest := data; len(rest) > 0; { // pieces that fit nothing
				n := min(len(rest), 777)
				pkt.Data().AppendView(buffer.NewViewWithData(rest[:n]))
				rest = rest[n:]
			}
			const flags = header.TCPFlagAck | header.TCPFlagPsh | header.TCPFlagFin | header.TCPFlagCwr
			header.TCP(pkt.TransportHeader().Push(20 + options)).Encode(&header.TCPFields{
				SrcPort: 80, DstPort: 5000, SeqNum: 0xfffff000, AckNum: 5, DataOffset: 20 + options, Flags: flags, WindowSize: 99})
			pkt.TransportProtocolNumber = header.TCPProtocolNumber
			pkt.GSOOptions = stack.GSO{Type: stack.GSOTCPv4, NeedsCsum: true, MSS: mss}
			if v6 {
				pkt.GSOOptions.Type = stack.GSOTCPv6
				length := uint16(pkt.Size())
				header.IPv6(pkt.NetworkHeader().Push(header.IPv6MinimumSize)).Encode(&header.IPv6Fields{
					PayloadLength: length, TransportProtocol: header.TCPProtocolNumber, HopLimit: 64,
					SrcAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 1}), DstAddr: tcpip.AddrFrom16([16]byte{0xfd, 15: 2})})
				pkt.NetworkProtocolNumber = header.IPv6ProtocolNumber
				addEthernet(pkt)
			} else {
				addIP(pkt, header.TCPProtocolNumber)
			}
			whole := pkt.ToView()
			before := bytes.Clone(whole.AsSlice())
			whole.Release()
			pkt.IncRef()
			if err := send(e, pkt); err != nil {
				t.Fatal(err)
			}
			n := max(1, (size+mss-1)/mss)
			var got []byte
			buf := make([]byte, 2000)
			for i := range n {
				k, err := b.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				tcp, src, dst := checkIP(t, buf[:k], v6, uint16(100+i))
				if !tcp.IsChecksumValid(src, dst, checksum.Checksum(tcp.Payload(), 0), uint16(len(tcp.Payload()))) {
					t.Errorf("v6 %v, %d bytes: segment %d has a wrong checksum", v6, size, i)
				}
				wantFlags := header.TCPFlags(header.TCPFlagAck)
				if i == 0 {
					wantFlags |= header.TCPFlagCwr
				}
				if i == n-1 {
					wantFlags |= header.TCPFlagPsh | header.TCPFlagFin
				}
				if tcp.SequenceNumber() != 0xfffff000+uint32(i*mss) || tcp.Flags() != wantFlags || tcp.AckNumber() != 5 || tcp.WindowSize() != 99 {
					t.Errorf("v6 %v, %d bytes: segment %d is %x", v6, size, i, []byte(tcp[:32]))
				}
				got = append(got, tcp.Payload()...)
			}
			if !bytes.Equal(got, data) {
				t.Errorf("v6 %v: %d bytes became %d, or others", v6, size, len(got))
			}
			e.Attach(nil)
			whole = pkt.ToView()
			if !bytes.Equal(whole.AsSlice(), before) {
				t.Errorf("v6 %v, %d bytes: the stack's packet was changed", v6, size)
			}
			whole.Release()
			pkt.DecRef()
			if st := e.Stats(); st.Conn.TxFrames != uint64(n) || n > 1 && st.Conn.TxCalls > uint64(n) {
				t.Errorf("%+v", st.Conn)
			}
		}
	}
}

// checkIP checks the IP header of f and returns what follows it.
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

// TestEndpointProcessors spreads flows and keeps each in order.
func TestEndpointProcessors(t *testing.T) {
	a, b := pair(t)
	e := endpoint(t, a, netstack.EndpointConfig{Processors: 4})
	r := newRecorder()
	e.Attach(r)
	const flows, each = 16, 200
	var frames [][]byte
	for j := range each {
		for i := range flows {
			pkt := udpPacket(t, 300)
			v := pkt.ToView()
			f := bytes.Clone(v.AsSlice())
			v.Release()
			pkt.DecRef()
			copy(f, macA[:])
			binary.BigEndian.PutUint16(f[14+20:], uint16(i)) // source port
			binary.BigEndian.PutUint32(f[14+28:], uint32(j))
			frames = append(frames, f)
		}
	}
	// And some that have no ports, or only claim to.
	short := ethernet(macA, 0x0800, 0x45, 0, 0)
	short6 := ethernet(macA, 0x86DD, 0x60)
	frames = append(frames, short, short6, ethernet(macA, 0x0806, make([]byte, 28)...))
	go b.WriteBatch(frames)
	got := r.wait(t, len(frames))
	next := make([]uint32, flows)
	for _, f := range got {
		if len(f) < 100 {
			continue
		}
		i, j := binary.BigEndian.Uint16(f[14+20:]), binary.BigEndian.Uint32(f[14+28:])
		if j != next[i] {
			t.Fatalf("flow %d: %d came as %d", i, next[i], j)
		}
		next[i]++
	}
}

// TestEndpointQdisc puts gVisor's own discipline on top, which is not needed but
// must work, in a stack that the test destroys in gVisor's way.
func TestEndpointQdisc(t *testing.T) {
	a, b := pair(t)
	h := host(t, b, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	e := endpoint(t, a, netstack.EndpointConfig{})
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4},
	})
	if err := s.CreateNICWithOptions(1, e, stack.NICOptions{QDisc: fifo.New(e, 1, 100)}); err != nil {
		t.Fatal(err)
	}
	addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), PrefixLen: 24}}
	if err := s.AddProtocolAddress(1, addr, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.AddRoute(tcpip.Route{Destination: addr.AddressWithPrefix.Subnet(), NIC: 1})
	if _, err := h.Ping(bound(t), netip.MustParseAddr("10.0.0.1")); err != nil {
		t.Error(err)
	}
	s.Destroy()
	if !errors.Is(e.Err(), net.ErrClosed) {
		t.Errorf("a destroyed stack left its endpoint in state %v", e.Err())
	}
}

// TestEndpointDestroy destroys stacks in gVisor's way while packets arrive that
// need the stack's lock.
func TestEndpointDestroy(t *testing.T) {
	for range 20 {
		a, b := pair(t)
		e := endpoint(t, a, netstack.EndpointConfig{})
		s := stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4},
		})
		if err := s.CreateNIC(1, e); err != nil {
			t.Fatal(err)
		}
		addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4([4]byte{10, 0, 0, 2}), PrefixLen: 24}}
		if err := s.AddProtocolAddress(1, addr, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
		s.AddRoute(tcpip.Route{Destination: addr.AddressWithPrefix.Subnet(), NIC: 1})
		echo := testframe.Echo{Src: macB, Dst: macA, From: netip.MustParseAddr("10.0.0.1"), To: netip.MustParseAddr("10.0.0.2"), ID: 1}.Frame()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := b.Write(echo); err != nil {
					return
				}
			}
		}()
		for e.Stats().RxDelivered < 100 {
			if err := e.Err(); err != nil {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
		s.Destroy()
		if !errors.Is(e.Err(), net.ErrClosed) {
			t.Errorf("left in state %v", e.Err())
		}
		b.Close()
		<-done
	}
}
