// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
)

func listenUDP(t *testing.T, h *netstack.Host, network, addr string) *netstack.UDPConn {
	t.Helper()
	pc, err := h.ListenPacket(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	deadline, _ := bound(t).Deadline()
	pc.SetReadDeadline(deadline)
	return pc.(*netstack.UDPConn)
}

// TestMulticast sends datagrams to the groups of multicast DNS, from sockets of both
// families and of one.
func TestMulticast(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	for _, c := range []struct{ network, group string }{
		{"udp4", "224.0.0.251"}, {"udp", "224.0.0.251"}, {"udp6", "ff02::fb"}, {"udp", "ff02::fb"},
	} {
		group := netip.MustParseAddr(c.group)
		to := netip.AddrPortFrom(group, 5353)
		in, out := listenUDP(t, a, c.network, ":5353"), listenUDP(t, b, c.network, ":5353")
		for _, s := range []*netstack.UDPConn{in, out} {
			if err := s.JoinGroup(group); err != nil {
				t.Fatal(c, err)
			}
		}
		wantErrno(t, in.JoinGroup(group), "set", syscall.EADDRINUSE)
		if err := out.SetMulticastTTL(255); err != nil {
			t.Fatal(err)
		}
		if _, err := out.WriteToUDPAddrPort([]byte("one"), to); err != nil {
			t.Fatal(c, err)
		}
		buf := make([]byte, 10)
		for _, s := range []*netstack.UDPConn{in, out} { // out by loopback
			if n, _, err := s.ReadFromUDPAddrPort(buf); err != nil || string(buf[:n]) != "one" {
				t.Errorf("%v: %q, %v", c, buf[:n], err)
			}
		}
		if err := out.SetMulticastLoopback(false); err != nil {
			t.Fatal(err)
		}
		if _, err := out.WriteToUDP([]byte("two"), net.UDPAddrFromAddrPort(to)); err != nil {
			t.Fatal(c, err)
		}
		if n, _, err := in.ReadFromUDP(buf); err != nil || string(buf[:n]) != "two" {
			t.Errorf("%v: %q, %v", c, buf[:n], err)
		}
		out.SetReadDeadline(past)
		_, _, err := out.ReadFrom(buf)
		wantErr(t, err, "read", os.ErrDeadlineExceeded)
		if err := in.LeaveGroup(group); err != nil {
			t.Error(c, err)
		}
		if err := in.LeaveGroup(group); err == nil {
			t.Errorf("%v: left twice", c)
		}
		in.Close()
		out.Close()
		wantErr(t, in.JoinGroup(group), "set", net.ErrClosed)
	}
	s := listenUDP(t, a, "udp4", ":0")
	wantErrno(t, s.JoinGroup(addr4(a)), "set", syscall.EINVAL)
	wantErrno(t, s.JoinGroup(netip.MustParseAddr("ff02::fb")), "set", syscall.EAFNOSUPPORT)
	wantErrno(t, s.SetMulticastTTL(256), "set", syscall.EINVAL)
}

// TestSocketOptions sets the options that sockets of package net have.
func TestSocketOptions(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	_, c, _ := connected(t, b, a)
	tc := c.(*netstack.TCPConn)
	uc := listenUDP(t, a, "udp", ":0")
	type buffers interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
		Close() error
	}
	for _, s := range []buffers{tc, uc} {
		for _, set := range []func(int) error{s.SetReadBuffer, s.SetWriteBuffer} {
			if err := set(100 << 10); err != nil {
				t.Error(err)
			}
			wantErrno(t, set(-1), "set", syscall.EINVAL)
		}
	}
	for _, k := range []net.KeepAliveConfig{
		{Enable: true}, {Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}, {Idle: -1, Interval: -1, Count: -1},
	} {
		if err := tc.SetKeepAliveConfig(k); err != nil {
			t.Errorf("%+v: %v", k, err)
		}
	}
	if err := tc.SetKeepAlivePeriod(time.Minute); err != nil {
		t.Error(err)
	}
	for _, s := range []buffers{tc, uc} {
		s.Close()
		wantErr(t, s.SetReadBuffer(1000), "set", net.ErrClosed)
	}
	wantErr(t, tc.SetKeepAliveConfig(net.KeepAliveConfig{}), "set", net.ErrClosed)
}
