// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// TestDialDeadFamily dials a name whose IPv6 addresses are behind a router that
// forwards nothing, and whose IPv4 address works, without a deadline.
func TestDialDeadFamily(t *testing.T) {
	t.Parallel()
	sw := vswitch.New(vswitch.Config{})
	server := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("fd00::fe/64")}})
	addr := netip.MustParseAddr
	client := host(t, attach(t, sw), netstack.HostConfig{
		Addrs:    []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")},
		Gateway6: addr("fd00::fe"),
		LookupNetIP: func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{addr("2001:db8::1"), addr("2001:db8::2"), addr("2001:db8::3"), addr("10.0.0.1")}, nil
		},
	})
	l := listen(t, server, "tcp", ":80")
	// The first address alone takes more than a minute to fail.
	start := time.Now()
	c, err := client.DialContext(context.Background(), "tcp", "dual.test:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if d := time.Since(start); d > time.Minute {
		t.Errorf("took %v", d)
	}
	if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != addr4(server) {
		t.Errorf("connected to %v", got)
	}
	accept(t, l)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = client.DialContext(ctx, "tcp6", "dual.test:80")
	wantErr(t, err, "dial", context.DeadlineExceeded)
	var oe *net.OpError
	if errors.As(err, &oe) && oe.Addr.String() != "[2001:db8::1]:80" {
		t.Errorf("the error names %v", oe.Addr)
	}
}

// TestDialLoopback checks that loopback addresses, for which a host has no interface,
// fail at once, and are not sent to the gateway.
func TestDialLoopback(t *testing.T) {
	t.Parallel()
	h, _ := behindRouter(t)
	for _, addr := range []string{"127.0.0.1:80", "[::1]:80", "127.1.2.3:80"} {
		for _, network := range []string{"tcp", "udp"} {
			_, err := h.Dial(network, addr)
			wantErrno(t, err, "dial", syscall.ENETUNREACH)
		}
		_, err := h.Ping(bound(t), netip.MustParseAddrPort(addr).Addr())
		wantErrno(t, err, "ping", syscall.ENETUNREACH)
		pc, err := h.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		_, err = pc.WriteTo([]byte{1}, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
		wantErrno(t, err, "write", syscall.ENETUNREACH)
		pc.Close()
	}
}
