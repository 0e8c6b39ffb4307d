// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/hashicorp/mdns"
	"github.com/miekg/dns"

	"github.com/go-vde/sdk/netstack"
)

// mdnsPort is the port of multicast DNS (RFC 6762).
const mdnsPort = 5353

// mdnsSocket returns a socket of h that is a member of a group of multicast DNS.
func mdnsSocket(t *testing.T, h *netstack.Host, group netip.Addr) *netstack.UDPConn {
	t.Helper()
	network := "udp4"
	if group.Is6() {
		network = "udp6"
	}
	pc, err := h.ListenPacket(network, ":5353")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	c := pc.(*netstack.UDPConn)
	if err := c.JoinGroup(group); err != nil {
		t.Fatal(err)
	}
	if err := c.SetMulticastTTL(255); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMDNS asks for a service by multicast DNS from one host. The other one answers to
// the group. The records are those of hashicorp/mdns, and miekg/dns serves them on a
// socket of the host, because the servers of hashicorp/mdns and of pion/mdns open
// sockets of the kernel.
func TestMDNS(t *testing.T) {
	for _, group := range []string{"224.0.0.251", "ff02::fb"} {
		t.Run(group, func(t *testing.T) { testMDNS(t, netip.MustParseAddr(group)) })
	}
}

func testMDNS(t *testing.T, group netip.Addr) {
	first, second := hosts(t)
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(group, mdnsPort))
	service, err := mdns.NewMDNSService("printer", "_ipp._tcp", "local.", "printer.local.", 631, []net.IP{first4.AsSlice(), first6.AsSlice()}, []string{"paper=A4"})
	if err != nil {
		t.Fatal(err)
	}
	serveMDNS(t, mdnsSocket(t, first, group), to, service)

	c := mdnsSocket(t, second, group)
	deadline, _ := bound(t).Deadline()
	c.SetReadDeadline(deadline)
	query := new(dns.Msg)
	query.SetQuestion("_ipp._tcp.local.", dns.TypePTR)
	query.RecursionDesired = false
	packed, err := query.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteTo(packed, to); err != nil {
		t.Fatal(err)
	}
	answer := readMDNS(t, c)
	var name, target, text string
	var addrs []netip.Addr
	for _, rr := range answer.Answer {
		switch rr := rr.(type) {
		case *dns.PTR:
			name = rr.Ptr
		case *dns.SRV:
			target = rr.Target
		case *dns.TXT:
			text = rr.Txt[0]
		case *dns.A:
			addrs = append(addrs, netip.AddrFrom4([4]byte(rr.A.To4())))
		case *dns.AAAA:
			addrs = append(addrs, netip.AddrFrom16([16]byte(rr.AAAA)))
		}
	}
	if name != "printer._ipp._tcp.local." || target != "printer.local." || text != "paper=A4" || len(addrs) != 2 || addrs[0] != first4 || addrs[1] != first6 {
		t.Errorf("answer %v", answer)
	}
}

// serveMDNS answers queries that arrive at c with the records of a zone, to a group, until
// the test ends.
func serveMDNS(t *testing.T, c net.PacketConn, group net.Addr, zone mdns.Zone) {
	t.Helper()
	started := make(chan struct{})
	server := &dns.Server{PacketConn: c, NotifyStartedFunc: func() { close(started) }}
	server.Handler = dns.HandlerFunc(func(_ dns.ResponseWriter, query *dns.Msg) {
		answer := &dns.Msg{MsgHdr: dns.MsgHdr{Response: true, Authoritative: true}, Compress: true}
		for _, q := range query.Question {
			answer.Answer = append(answer.Answer, zone.Records(q)...)
		}
		packed, err := answer.Pack()
		if err == nil {
			_, err = c.WriteTo(packed, group)
		}
		if err != nil {
			t.Error(err)
		}
	})
	served := make(chan error, 1)
	go func() { served <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	select {
	case <-started:
	case err := <-served:
		t.Fatal(err)
	}
}

// readMDNS returns the first answer that arrives at c: a socket gets its own queries too.
func readMDNS(t *testing.T, c net.PacketConn) *dns.Msg {
	t.Helper()
	buf := make([]byte, netstack.DefaultMTU)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		m := new(dns.Msg)
		if err := m.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if m.Response {
			return m
		}
	}
}
