// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// A dhcpServer is a DHCP server that reads and writes frames on a connection.
type dhcpServer struct {
	t    *testing.T
	c    *vde.Conn
	mac  frame.MAC
	ip   netip.Addr
	seen chan *dhcpv4.DHCPv4 // every message, after it was answered

	unicast atomic.Int32 // messages that were sent to the server alone

	// answer returns the reply to m, or nil.
	answer func(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4
}

// startDHCPServer starts a server on c that sends the replies of answer.
func startDHCPServer(t *testing.T, c *vde.Conn, answer func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4) *dhcpServer {
	s := &dhcpServer{t: t, c: c, mac: macB, ip: netip.MustParseAddr("10.7.0.1"), seen: make(chan *dhcpv4.DHCPv4, 100)}
	s.answer = func(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 { return answer(s, m) }
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2000)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			s.handle(buf[:n])
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return s
}

// handle answers f if it is a message to a DHCP server.
func (s *dhcpServer) handle(f []byte) {
	if isARP(f, 1, "10.7.1.2", "10.7.0.1") { // before a renewal
		s.c.Write(arpFrame(2, s.mac, "10.7.0.1", "10.7.1.2"))
		return
	}
	ip := header.IPv4(f[14:])
	if frame.Frame(f).EtherType() != 0x0800 || !ip.IsValid(len(ip)) || ip.Protocol() != 17 {
		return
	}
	u := header.UDP(ip.Payload())
	if len(u) < 8 || u.DestinationPort() != 67 {
		return
	}
	if !ip.IsChecksumValid() || !u.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), checksum.Checksum(u.Payload(), 0)) {
		s.t.Errorf("bad checksum in %x", f)
	}
	unicast := frame.Frame(f).Dst() == s.mac && ip.DestinationAddress() == tcpip.AddrFromSlice(s.ip.AsSlice())
	if !unicast && (frame.Frame(f).Dst() != frame.Broadcast() || ip.DestinationAddress() != header.IPv4Broadcast) || u.SourcePort() != 68 {
		s.t.Errorf("wrong addresses or port: %x", f[:42])
	}
	m, err := dhcpv4.FromBytes(u.Payload())
	if err != nil {
		s.t.Error(err)
		return
	}
	if own := ip.SourceAddress(); unicast && own != tcpip.AddrFrom4Slice(m.ClientIPAddr.To4()) {
		s.t.Errorf("unicast from %v, not from the leased %v", own, m.ClientIPAddr)
	}
	if unicast {
		s.unicast.Add(1)
	}
	if r := s.answer(m); r != nil {
		s.send(r)
	}
	s.seen <- m
}

// send broadcasts r.
func (s *dhcpServer) send(r *dhcpv4.DHCPv4) {
	body := r.ToBytes()
	f := frame.AppendHeader(nil, frame.Broadcast(), s.mac, 0x0800)
	f = append(f, make([]byte, 28)...)
	f = append(f, body...)
	ip := header.IPv4(f[14:])
	src := tcpip.AddrFromSlice(s.ip.AsSlice())
	ip.Encode(&header.IPv4Fields{TotalLength: uint16(len(ip)), TTL: 64, Protocol: 17, SrcAddr: src, DstAddr: header.IPv4Broadcast})
	ip.SetChecksum(^ip.CalculateChecksum())
	header.UDP(ip.Payload()).Encode(&header.UDPFields{SrcPort: 67, DstPort: 68, Length: uint16(8 + len(body))}) // no checksum is fine
	s.c.Write(f)
}

// reply returns an offer in answer to a discover message, and else the lease.
func (s *dhcpServer) reply(m *dhcpv4.DHCPv4, addr string, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	typ := dhcpv4.MessageTypeOffer
	if m.MessageType() == dhcpv4.MessageTypeRequest {
		typ = dhcpv4.MessageTypeAck
	}
	return s.make(m, typ, append([]dhcpv4.Modifier{
		dhcpv4.WithYourIP(net.ParseIP(addr)),
		dhcpv4.WithNetmask(net.CIDRMask(16, 32)),
		dhcpv4.WithRouter(net.IP(s.ip.AsSlice())),
		dhcpv4.WithDNS(net.IP(s.ip.AsSlice()), net.IPv4(9, 9, 9, 9)),
	}, mods...)...)
}

// make returns a message of type typ in answer to m.
func (s *dhcpServer) make(m *dhcpv4.DHCPv4, typ dhcpv4.MessageType, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
	r, err := dhcpv4.NewReplyFromRequest(m, append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(typ),
		dhcpv4.WithServerIP(net.IP(s.ip.AsSlice())),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IP(s.ip.AsSlice()))),
	}, mods...)...)
	if err != nil {
		s.t.Error(err)
	}
	return r
}

// await returns the next message of a type.
func (s *dhcpServer) await(typ dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	s.t.Helper()
	for {
		select {
		case m := <-s.seen:
			if m.MessageType() == typ {
				return m
			}
		case <-bound(s.t).Done():
			s.t.Fatalf("no %v", typ)
		}
	}
}

// lease sets the lease time.
func lease(d time.Duration) dhcpv4.Modifier { return dhcpv4.WithLeaseTime(uint32(d.Seconds())) }

// TestDHCPLease checks the address, name servers and route that a lease gives a host.
func TestDHCPLease(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	s := startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		return s.reply(m, "10.7.1.2", lease(time.Hour))
	})
	h, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true, MAC: macA})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if m := s.await(dhcpv4.MessageTypeDiscover); m.ClientHWAddr.String() != macA.String() {
		t.Errorf("asked for %v", m.ClientHWAddr)
	}
	if got := h.Addrs(); !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("10.7.1.2/16")}) {
		t.Errorf("got %v", got)
	}
	if got := h.DNS(); !slices.Equal(got, []netip.Addr{s.ip, netip.MustParseAddr("9.9.9.9")}) {
		t.Errorf("name servers %v", got)
	}
	routed := false
	for _, r := range h.Stack().GetRouteTable() {
		routed = routed || r.Gateway == tcpip.AddrFromSlice(s.ip.AsSlice()) && r.Destination.Equal(header.IPv4EmptySubnet)
	}
	if !routed {
		t.Errorf("no default route in %v", h.Stack().GetRouteTable())
	}
}

// TestDHCPRenewal renews a lease. When the next renewal is refused, the host has to
// request another lease, with another address.
func TestDHCPRenewal(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	requests := 0
	s := startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		addr := "10.7.1.2"
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			requests++
		}
		switch {
		case requests == 3 && m.MessageType() == dhcpv4.MessageTypeRequest:
			return s.make(m, dhcpv4.MessageTypeNak)
		case requests >= 3:
			addr = "10.7.1.3"
		}
		return s.reply(m, addr, lease(2*time.Second))
	})
	h, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true, MAC: macA})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	s.await(dhcpv4.MessageTypeRequest)
	if m := s.await(dhcpv4.MessageTypeRequest); !m.ClientIPAddr.Equal(net.IPv4(10, 7, 1, 2)) {
		t.Errorf("renewal of %v", m.ClientIPAddr)
	}
	s.await(dhcpv4.MessageTypeRequest) // refused
	s.await(dhcpv4.MessageTypeDiscover)
	s.await(dhcpv4.MessageTypeRequest)
	s.await(dhcpv4.MessageTypeRequest) // the renewal of the new one: by now the address has changed
	if got := h.Addrs(); !slices.Equal(got, []netip.Prefix{netip.MustParsePrefix("10.7.1.3/16")}) {
		t.Errorf("got %v", got)
	}
}

// TestDHCPNoServer checks that NewHost fails after its timeout, or when the connection
// ends, if no server answers.
func TestDHCPNoServer(t *testing.T) {
	t.Parallel()
	ca, _ := pair(t)
	_, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true, DHCPTimeout: 10 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, netstack.ErrNoLease) || strings.Count(err.Error(), "netstack: ") != 1 {
		t.Error(err)
	}
	sw, ca, cb := pointToPoint(t)
	done := make(chan error)
	go func() {
		_, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true, DHCPTimeout: time.Hour})
		done <- err
	}()
	if _, err := cb.Read(make([]byte, 2000)); err != nil { // the first discover message
		t.Error(err)
	}
	sw.HangupAll()
	if err := <-done; !errors.Is(err, vde.ErrHangup) {
		t.Error(err)
	}
}

// TestDHCPInvalidAddress offers an address that no host can have.
func TestDHCPInvalidAddress(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		return s.reply(m, "224.0.0.1")
	})
	h, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true})
	if err == nil {
		h.Close()
		t.Fatal("accepted a multicast address")
	}
	if !errors.Is(err, netstack.ErrNoLease) {
		t.Error(err)
	}
}
