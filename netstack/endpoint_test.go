// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
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

// A recorder is a stack.NetworkDispatcher that keeps the packets.
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

// wait waits until there are n packets and returns all that there are.
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

// endpoint returns an endpoint on c that is closed when the test ends.
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

// TestEndpointProperties checks what an endpoint tells the stack about itself.
func TestEndpointProperties(t *testing.T) {
	t.Parallel()
	c, _ := pair(t)
	e, err := netstack.NewEndpoint(c, netstack.EndpointConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if m := e.MAC(); m.IsGroup() || !m.IsLocal() {
		t.Errorf("default address %v is not locally administered", m)
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
	e.SetLinkAddress("not an address")
	if e.MAC() != macB {
		t.Error("SetLinkAddress took an address of another length")
	}
	if e.IsAttached() || e.Err() != nil {
		t.Error("attached or ended before the start")
	}
	e.Wait() // nothing runs
	e.Attach(nil)
	trusting := endpoint(t, open1(t), netstack.EndpointConfig{NoChecksums: true})
	if want := stack.CapabilityResolutionRequired | stack.CapabilityTXChecksumOffload | stack.CapabilityRXChecksumOffload; trusting.Capabilities() != want {
		t.Errorf("claims %b without checksums", trusting.Capabilities())
	}
}

// TestEndpointLinkHeader adds an Ethernet header to a packet and parses it.
func TestEndpointLinkHeader(t *testing.T) {
	t.Parallel()
	e := endpoint(t, open1(t), netstack.EndpointConfig{})
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
}

func TestNewEndpointRefusesConfig(t *testing.T) {
	t.Parallel()
	c, _ := pair(t)
	for _, bad := range []netstack.EndpointConfig{
		{MTU: 67}, {MTU: netstack.MaxMTU + 1}, {MAC: frame.Broadcast()}, {Queue: -1}, {Processors: -1}, {Policy: -1}, {Policy: 2},
	} {
		_, err := netstack.NewEndpoint(c, bad)
		if err == nil {
			t.Errorf("%+v was accepted", bad)
		} else if strings.Count(err.Error(), "netstack: ") != 1 {
			t.Errorf("%+v: %q does not have the prefix once", bad, err)
		}
	}
	if _, err := netstack.NewEndpoint(nil, netstack.EndpointConfig{}); err == nil {
		t.Error("an endpoint without a connection")
	}
	if c.Err() != nil {
		t.Error("a refused configuration closed the connection")
	}
}

// open1 returns one end of a pair.
func open1(t *testing.T) *vde.Conn {
	c, _ := pair(t)
	return c
}

// TestEndpointFilter checks which destination addresses an endpoint accepts.
func TestEndpointFilter(t *testing.T) {
	t.Parallel()
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

// TestEndpointAttach attaches, detaches and attaches again, with traffic.
func TestEndpointAttach(t *testing.T) {
	t.Parallel()
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

// TestEndpointHangup ends the connection while frames wait in both directions.
func TestEndpointHangup(t *testing.T) {
	t.Parallel()
	sw, a, b := pointToPoint(t)
	ended := make(chan error, 2)
	var e *netstack.Endpoint
	e = endpoint(t, a, netstack.EndpointConfig{OnEnd: func(err error) {
		e.Close()
		ended <- err
	}})
	r := newRecorder()
	e.Attach(r)
	// Frames in the kernel's queue and in that of the endpoint.
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

// TestEndpointProcessors checks that the packets of each flow stay in order with
// several processors.
func TestEndpointProcessors(t *testing.T) {
	t.Parallel()
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
	// Frames without ports, and frames that end before them.
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

// icmpStack returns a stack with e as NIC 1 and an IPv4 address.
func icmpStack(t *testing.T, e *netstack.Endpoint, opts stack.NICOptions, last byte) *stack.Stack {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4},
	})
	if err := s.CreateNICWithOptions(1, e, opts); err != nil {
		t.Fatal(err)
	}
	addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4([4]byte{10, 0, 0, last}), PrefixLen: 24}}
	if err := s.AddProtocolAddress(1, addr, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.AddRoute(tcpip.Route{Destination: addr.AddressWithPrefix.Subnet(), NIC: 1})
	return s
}

// TestEndpointQueueingDiscipline uses gVisor's own queueing discipline, which is not
// needed but must work, in a stack that the test destroys.
func TestEndpointQueueingDiscipline(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	h := host(t, b, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	e := endpoint(t, a, netstack.EndpointConfig{})
	s := icmpStack(t, e, stack.NICOptions{QDisc: fifo.New(e, 1, 100)}, 1)
	if _, err := h.Ping(bound(t), netip.MustParseAddr("10.0.0.1")); err != nil {
		t.Error(err)
	}
	s.Destroy()
	if !errors.Is(e.Err(), net.ErrClosed) {
		t.Errorf("a destroyed stack left its endpoint in state %v", e.Err())
	}
}

// TestEndpointStackDestroy destroys stacks while packets are delivered that need the
// lock of the stack.
func TestEndpointStackDestroy(t *testing.T) {
	t.Parallel()
	for range 20 {
		a, b := pair(t)
		e := endpoint(t, a, netstack.EndpointConfig{})
		s := icmpStack(t, e, stack.NICOptions{}, 2)
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
