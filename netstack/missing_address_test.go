// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// TestMissingAddress listens, dials and sends without an address, or with one that lacks
// the host. As in package net, a listener without an address has any port on all
// addresses, a datagram for no host is one for this host, and the rest is an error.
func TestMissingAddress(t *testing.T) {
	t.Parallel()
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	h := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64"),
	}})
	l, err := h.Listen("tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a := l.Addr().(*net.TCPAddr); !a.IP.IsUnspecified() || a.Port == 0 {
		t.Errorf("listens on %v", a)
	}
	for _, network := range []string{"tcp", "tcp6", "udp", "udp4"} {
		_, err := h.Dial(network, "")
		_, want := net.Dial(network, "")
		if err == nil || err.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", network, err, want)
		}
	}
	for _, network := range []string{"udp", "udp4", "udp6"} {
		sendToNoHost(t, h, network)
	}
}

// sendToNoHost sends datagrams to a socket of the same host, and to nobody.
func sendToNoHost(t *testing.T, h *netstack.Host, network string) {
	p, err := h.ListenPacket(network, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := p.(*netstack.UDPConn)
	port := c.LocalAddr().(*net.UDPAddr).Port
	unspecified := netip.IPv4Unspecified()
	if network == "udp6" {
		unspecified = netip.IPv6Unspecified()
	}
	buf := make([]byte, 10)
	c.SetReadDeadline(time.Now().Add(watchdog))
	for _, send := range []func() (int, error){
		func() (int, error) { return c.WriteTo([]byte("x"), &net.UDPAddr{Port: port}) },
		func() (int, error) {
			return c.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(unspecified, uint16(port)))
		},
		func() (int, error) {
			n, _, err := c.WriteMsgUDP([]byte("x"), nil, &net.UDPAddr{Port: port})
			return n, err
		},
	} {
		if n, err := send(); n != 1 || err != nil {
			t.Errorf("%s: %d, %v", network, n, err)
			continue
		}
		if n, _, err := c.ReadFrom(buf); n != 1 || err != nil {
			t.Errorf("%s: received %d, %v", network, n, err)
		}
	}
	for _, to := range []net.Addr{nil, (*net.UDPAddr)(nil), &net.UDPAddr{IP: net.IP{1, 2, 3}, Port: port}} {
		_, err := c.WriteTo([]byte("x"), to)
		oe, ok := errors.AsType[*net.OpError](err)
		if !ok || !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: WriteTo(%#v): %v", network, to, err)
		} else if a, ok := oe.Addr.(*net.UDPAddr); ok && a == nil {
			t.Errorf("%s: the address in the error of WriteTo(%#v) is a nil pointer", network, to)
		}
	}
}

// TestDeadlineAfterClose sets deadlines of closed sockets. The errors say of which.
func TestDeadlineAfterClose(t *testing.T) {
	t.Parallel()
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	h := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	l, err := h.Listen("tcp4", "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := h.Dial("tcp4", "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.ListenPacket("udp4", "10.0.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		close    func() error
		deadline func(time.Time) error
		network  string
		addr     net.Addr
	}{
		{c.Close, c.SetDeadline, "tcp4", c.LocalAddr()},
		{c.Close, c.SetReadDeadline, "tcp4", c.LocalAddr()},
		{c.Close, c.SetWriteDeadline, "tcp4", c.LocalAddr()},
		{l.Close, l.(*netstack.TCPListener).SetDeadline, "tcp4", l.Addr()},
		{p.Close, p.SetReadDeadline, "udp4", p.LocalAddr()},
	} {
		s.close()
		err := s.deadline(time.Now())
		oe, ok := errors.AsType[*net.OpError](err)
		if !ok || oe.Op != "set" || oe.Net != s.network || oe.Addr == nil || oe.Addr.String() != s.addr.String() || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want set %s %v", err, s.network, s.addr)
		}
	}
}
