// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gvisor

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nicID    = 1
	queueLen = 1000 // packets in gVisor's queueing discipline
)

// newStack returns a stack without interfaces that has the protocols of a Host with
// an IPv4 address, and its settings.
func newStack() (*stack.Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		HandleLocal:        true,
	})
	if err := withHost(func(host *stack.Stack) error { return copySettings(s, host) }); err != nil {
		s.Destroy()
		return nil, err
	}
	return s, nil
}

// A BareStack is a TCP/IP stack with one interface.
type BareStack struct{ stack *stack.Stack }

// NewBareStack returns a stack that has the address and the settings of a Host. If
// queue is set, gVisor's queueing discipline is in front of the endpoint.
func NewBareStack(ep stack.LinkEndpoint, addr netip.Prefix, queue bool) (*BareStack, error) {
	s, err := newStack()
	if err != nil {
		return nil, err
	}
	var opts stack.NICOptions
	if queue {
		opts.QDisc = fifo.New(ep, 1, queueLen)
	}
	if err := s.CreateNICWithOptions(nicID, ep, opts); err != nil {
		return nil, errors.New(err.String())
	}
	a := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
		Address: tcpip.AddrFrom4(addr.Addr().As4()), PrefixLen: addr.Bits()}}
	if err := s.AddProtocolAddress(nicID, a, stack.AddressProperties{}); err != nil {
		return nil, errors.New(err.String())
	}
	s.AddRoute(tcpip.Route{Destination: a.AddressWithPrefix.Subnet(), NIC: nicID})
	return &BareStack{s}, nil
}

// Listen listens on a port of TCP, or on any if it is 0.
func (s *BareStack) Listen(port uint16) (net.Listener, error) {
	return gonet.ListenTCP(s.stack, tcpip.FullAddress{NIC: nicID, Port: port}, ipv4.ProtocolNumber)
}

// Dial connects to an address of TCP.
func (s *BareStack) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return gonet.DialContextTCP(ctx, s.stack, tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFrom4(to.Addr().As4()), Port: to.Port()}, ipv4.ProtocolNumber)
}

// Retransmits returns how many segments the stack has sent again.
func (s *BareStack) Retransmits() uint64 { return s.stack.Stats().TCP.Retransmits.Value() }

// Close ends the connections. The endpoint and its goroutine stay until the process
// ends: fdbased may wait for ever for its receiver when a stack is destroyed, and a
// sharedmem endpoint that is closed crashes the process when the stack sends.
func (s *BareStack) Close() { s.stack.Close() }
