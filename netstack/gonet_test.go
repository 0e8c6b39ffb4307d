// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// sockets are the functions that open sockets on a stack.
type sockets struct {
	dial         func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	listen       func(port uint16) (net.Listener, error)
	listenPacket func(family tcpip.NetworkProtocolNumber) (net.PacketConn, error)
}

// hostSockets are those of h itself.
func hostSockets(h *netstack.Host) sockets {
	return sockets{
		dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return h.DialContext(ctx, "tcp", to.String())
		},
		listen: func(port uint16) (net.Listener, error) {
			return h.Listen("tcp4", netip.AddrPortFrom(netip.IPv4Unspecified(), port).String())
		},
		listenPacket: func(family tcpip.NetworkProtocolNumber) (net.PacketConn, error) {
			if family == header.IPv4ProtocolNumber {
				return h.ListenPacket("udp4", ":0")
			}
			return h.ListenPacket("udp", ":0")
		},
	}
}

// gonetSockets are those of gVisor's package gonet on the stack of h.
func gonetSockets(h *netstack.Host) sockets {
	return sockets{
		dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return gonet.DialContextTCP(ctx, h.Stack(), fullAddr(to), header.IPv4ProtocolNumber)
		},
		listen: func(port uint16) (net.Listener, error) {
			return gonet.ListenTCP(h.Stack(), tcpip.FullAddress{Port: port}, header.IPv4ProtocolNumber)
		},
		listenPacket: func(family tcpip.NetworkProtocolNumber) (net.PacketConn, error) {
			return gonet.DialUDP(h.Stack(), &tcpip.FullAddress{}, nil, family)
		},
	}
}

func fullAddr(ap netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{Addr: tcpip.AddrFromSlice(ap.Addr().AsSlice()), Port: ap.Port()}
}

// TestGonet runs the same cases on the sockets of a Host and on those of gonet. Each
// returns whether the sockets do what those of package net do. docs/netstack.md has
// the table.
func TestGonet(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		does func(t *testing.T, s sockets, peer *netstack.Host) bool
	}{
		{"error numbers", refusedIsErrno},
		{"deadline errors", deadlineIsOS},
		{"reading after Close", readAfterCloseIsClosed},
		{"accepting after Close", acceptAfterCloseIsClosed},
		{"addresses after a reset", addressAfterReset},
		{"an empty write after a reset", emptyWriteAfterReset},
		{"zones", zoneOfLinkLocal},
		{"addresses of another type", otherAddr},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t, netstack.HostConfig{})
			if !test.does(t, hostSockets(b), a) {
				t.Error("a Host does not do what package net does")
			}
			if test.does(t, gonetSockets(b), a) {
				t.Error("gonet does it too: correct docs/netstack.md")
			}
		})
	}
}

// peerConn returns a connection of s to a listener of peer, and its other end.
func (s sockets) peerConn(t *testing.T, peer *netstack.Host) (c, in net.Conn) {
	t.Helper()
	l := listen(t, peer, "tcp", ":0")
	c, err := s.dial(bound(t), netip.AddrPortFrom(addr4(peer), listenPort(l)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, accept(t, l)
}

// resetConn is peerConn of a connection that the peer has reset.
func (s sockets) resetConn(t *testing.T, peer *netstack.Host) net.Conn {
	t.Helper()
	c, in := s.peerConn(t, peer)
	reset(t, in)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read after a reset")
	}
	return c
}

func (s sockets) packetConn(t *testing.T, family tcpip.NetworkProtocolNumber) net.PacketConn {
	t.Helper()
	pc, err := s.listenPacket(family)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc
}

func refusedIsErrno(t *testing.T, s sockets, peer *netstack.Host) bool {
	_, err := s.dial(bound(t), netip.AddrPortFrom(addr4(peer), 9))
	return errors.Is(err, syscall.ECONNREFUSED)
}

func deadlineIsOS(t *testing.T, s sockets, peer *netstack.Host) bool {
	c, _ := s.peerConn(t, peer)
	c.SetReadDeadline(past)
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func readAfterCloseIsClosed(t *testing.T, s sockets, peer *netstack.Host) bool {
	c, _ := s.peerConn(t, peer)
	c.Close()
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, net.ErrClosed)
}

func acceptAfterCloseIsClosed(t *testing.T, s sockets, _ *netstack.Host) bool {
	l, err := s.listen(81)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	_, err = l.Accept()
	return errors.Is(err, net.ErrClosed)
}

func addressAfterReset(t *testing.T, s sockets, peer *netstack.Host) bool {
	return s.resetConn(t, peer).RemoteAddr() != nil
}

func emptyWriteAfterReset(t *testing.T, s sockets, peer *netstack.Host) bool {
	_, err := s.resetConn(t, peer).Write(nil)
	return err != nil
}

func zoneOfLinkLocal(t *testing.T, s sockets, peer *netstack.Host) bool {
	pc := s.packetConn(t, header.IPv6ProtocolNumber)
	port := pc.LocalAddr().(*net.UDPAddr).Port
	var local netip.Addr // of peer
	for _, p := range peer.Addrs() {
		if p.Addr().IsLinkLocalUnicast() {
			local = p.Addr()
		}
	}
	from := listenUDP(t, peer, "udp6", netip.AddrPortFrom(local, 0).String())
	// To all hosts, because sockets of gonet on all addresses do not tell their own.
	if _, err := from.WriteToAddrPort([]byte{1}, netip.AddrPortFrom(netip.MustParseAddr("ff02::1"), uint16(port))); err != nil {
		t.Fatal(err)
	}
	deadline, _ := bound(t).Deadline()
	pc.SetReadDeadline(deadline)
	_, addr, err := pc.ReadFrom(make([]byte, 1))
	if err != nil {
		t.Fatal(err)
	}
	return addr.(*net.UDPAddr).Zone != ""
}

func otherAddr(t *testing.T, s sockets, _ *netstack.Host) (does bool) {
	pc := s.packetConn(t, header.IPv4ProtocolNumber)
	defer func() {
		if recover() != nil {
			does = false
		}
	}()
	_, err := pc.WriteTo([]byte{1}, &net.IPAddr{IP: net.IPv4(10, 0, 0, 1)})
	return err != nil
}

// TestGonetHangup ends the network of sockets that wait.
func TestGonetHangup(t *testing.T) {
	t.Parallel()
	sw, ca, cb := pointToPoint(t)
	a, b := host(t, ca, netstack.HostConfig{}), host(t, cb, netstack.HostConfig{})
	own, _ := hostSockets(b).peerConn(t, a)
	theirs, _ := gonetSockets(b).peerConn(t, a)
	sw.HangupAll()
	_, err := own.Read(make([]byte, 1))
	wantErr(t, err, "read", vde.ErrHangup)
	theirs.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := theirs.Read(make([]byte, 1)); !errors.As(err, new(net.Error)) || !err.(net.Error).Timeout() {
		t.Errorf("gonet notices the end of the network: correct docs/netstack.md: %v", err)
	}
}
