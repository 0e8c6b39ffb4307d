// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/go-vde/sdk/netstack"
)

// TestListenOverlap opens two listeners on one port. As on Linux, the second fails if
// a connection could go to both.
func TestListenOverlap(t *testing.T) {
	t.Parallel()
	h, _ := hosts(t, netstack.HostConfig{})
	type listener struct{ network, host string }
	own4, own6 := addr4(h).String(), "["+addr6(h).String()+"]"
	port := 8000
	for _, c := range []struct {
		one, two listener
		overlap  bool
	}{
		{listener{"tcp", ""}, listener{"tcp", own4}, true},
		{listener{"tcp", ""}, listener{"tcp", own6}, true},
		{listener{"tcp", ""}, listener{"tcp4", ""}, true},
		{listener{"tcp", "[::]"}, listener{"tcp", own4}, true},
		{listener{"tcp4", ""}, listener{"tcp", own4}, true},
		{listener{"tcp6", ""}, listener{"tcp", own6}, true},
		{listener{"tcp4", ""}, listener{"tcp6", ""}, false},
		{listener{"tcp4", ""}, listener{"tcp", own6}, false},
		{listener{"tcp", own4}, listener{"tcp", own6}, false},
	} {
		for _, order := range [][2]listener{{c.one, c.two}, {c.two, c.one}} {
			port++
			first := listen(t, h, order[0].network, fmt.Sprintf("%s:%d", order[0].host, port))
			second, err := h.Listen(order[1].network, fmt.Sprintf("%s:%d", order[1].host, port))
			switch {
			case c.overlap && err == nil:
				t.Errorf("%v, then %v: both listen", order[0], order[1])
			case c.overlap:
				wantErrno(t, err, "listen", errInUse)
			case err != nil:
				t.Errorf("%v, then %v: %v", order[0], order[1], err)
			}
			if err == nil {
				second.Close()
			}
			first.Close()
			if err != nil { // free again
				listen(t, h, order[1].network, fmt.Sprintf("%s:%d", order[1].host, port)).Close()
			}
		}
	}
}

// TestListenUnspecified checks that a listener and a UDP socket on an unspecified
// address take both families, as in package net.
func TestListenUnspecified(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	for _, any := range []string{"[::]:0", "0.0.0.0:0"} {
		l := listen(t, a, "tcp", any)
		pc, err := a.ListenPacket("udp", any)
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		udpPort := netip.MustParseAddrPort(pc.LocalAddr().String()).Port()
		for _, to := range []netip.Addr{addr4(a), addr6(a)} {
			dial(t, b, to, listenPort(l))
			accept(t, l)
			c, err := b.Dial("udp", netip.AddrPortFrom(to, udpPort).String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			deadline, _ := bound(t).Deadline()
			pc.SetReadDeadline(deadline)
			if n, _, err := pc.ReadFrom(make([]byte, 10)); n != 1 || err != nil {
				t.Errorf("%s from %v: %d, %v", any, to, n, err)
			}
			c.Close()
		}
	}
}

// TestListenUnspecified4 listens on [::] where only IPv4 is possible: with a network of
// IPv4, and on a host without IPv6. As in package net, it is 0.0.0.0 there.
func TestListenUnspecified4(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	without := host(t, ca, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	with := host(t, cb, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")}})
	for _, c := range []struct {
		listener, dialer *netstack.Host
		network          string
	}{
		{without, with, ""}, {without, with, "4"}, {with, without, "4"},
	} {
		l := listen(t, c.listener, "tcp"+c.network, "[::]:0")
		dial(t, c.dialer, addr4(c.listener), listenPort(l))
		accept(t, l)
		own, err := c.listener.Dial("tcp4", fmt.Sprintf("[::]:%d", listenPort(l)))
		if err != nil {
			t.Fatal(err)
		}
		own.Close()
		pc, err := c.listener.ListenPacket("udp"+c.network, "[::]:0")
		if err != nil {
			t.Fatal(err)
		}
		pc.Close()
	}
	if l, err := without.Listen("tcp6", "[::]:0"); err == nil {
		l.Close()
		t.Error("a host without IPv6 listens on tcp6")
	}
}
