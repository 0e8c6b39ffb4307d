// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"io"
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// TestForwarding sends data between hosts of two networks through a Forwarder. The
// switches carry GSO frames, and the receivers merge segments, so that long packets would
// reach the router without Forwarding.
func TestForwarding(t *testing.T) {
	t.Parallel()
	var nets [2]*vswitch.Switch
	for i := range nets {
		nets[i] = vswitch.New(vswitch.Config{})
		t.Cleanup(func() { nets[i].Close() })
	}
	p := netip.MustParsePrefix
	left := host(t, attach(t, nets[0]), netstack.HostConfig{
		Addrs:   []netip.Prefix{p("10.1.0.2/24"), p("fd01::2/64")},
		Gateway: netip.MustParseAddr("10.1.0.1"), Gateway6: netip.MustParseAddr("fd01::1"),
	})
	right := host(t, attach(t, nets[1]), netstack.HostConfig{
		Addrs:   []netip.Prefix{p("10.2.0.2/24"), p("fd02::2/64")},
		Gateway: netip.MustParseAddr("10.2.0.1"), Gateway6: netip.MustParseAddr("fd02::1"),
	})
	router, forwarder := routerStack(t)
	first := endpoint(t, attach(t, nets[0]), netstack.EndpointConfig{GRO: true, Forwarding: true})
	second := endpoint(t, attach(t, nets[1]), netstack.EndpointConfig{GRO: true, Forwarding: true})
	addInterface(t, router, 1, forwarder.Endpoint(first), p("10.1.0.1/24"), p("fd01::1/64"))
	addInterface(t, router, 2, forwarder.Endpoint(second), p("10.2.0.1/24"), p("fd02::1/64"))

	sent := bytes.Repeat([]byte("0123456789abcdef"), int(scaled(1<<16, 1<<14)))
	for _, hop := range []struct{ from, to *netstack.Host }{{left, right}, {right, left}} {
		l := listen(t, hop.to, "tcp", ":80")
		for _, addr := range []netip.Addr{addr4(hop.to), addr6(hop.to)} {
			out := dial(t, hop.from, addr, 80)
			in := accept(t, l)
			go func() {
				out.Write(sent)
				out.Close()
			}()
			got, err := io.ReadAll(in)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("from %v to %v: %d bytes, %v", hop.from.Addrs()[0], addr, len(got), err)
			}
			in.Close()
		}
		l.Close()
	}
	stats := router.Stats().IP
	if n := stats.Forwarding.PacketTooBig.Value(); n != 0 {
		t.Errorf("%d packets were too long for the next link", n)
	}
	// Each packet that was forwarded is one frame.
	if frames := first.Stats().RxDelivered; frames < uint64(len(sent))/1500 {
		t.Errorf("the router received %d frames", frames)
	}
	if s := forwarder.Stats(); s.Forwarded < uint64(len(sent))/1500 || s != (netstack.ForwarderStats{Forwarded: s.Forwarded}) {
		t.Errorf("%+v", s)
	}
}

// routerStack returns a stack that forwards packets.
func routerStack(t *testing.T) (*stack.Stack, *netstack.Forwarder) {
	t.Helper()
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{icmp.NewProtocol4, icmp.NewProtocol6},
	})
	t.Cleanup(s.Destroy)
	f, err := netstack.NewForwarder(s)
	if err != nil {
		t.Fatal(err)
	}
	return s, f
}

// addInterface adds e to s as the interface id with addresses and the routes to their
// networks.
func addInterface(t *testing.T, s *stack.Stack, id tcpip.NICID, e stack.LinkEndpoint, addrs ...netip.Prefix) {
	t.Helper()
	if err := s.CreateNIC(id, e); err != nil {
		t.Fatal(err)
	}
	for _, p := range addrs {
		addr := tcpip.ProtocolAddress{
			Protocol:          header.IPv4ProtocolNumber,
			AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFromSlice(p.Addr().AsSlice()), PrefixLen: p.Bits()},
		}
		if p.Addr().Is6() {
			addr.Protocol = header.IPv6ProtocolNumber
		}
		if err := s.AddProtocolAddress(id, addr, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
		s.AddRoute(tcpip.Route{Destination: addr.AddressWithPrefix.Subnet(), NIC: id})
	}
}
