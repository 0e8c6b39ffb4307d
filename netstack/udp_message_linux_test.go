// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/go-vde/sdk/netstack"
)

// TestControlMessages receives datagrams at a socket of all addresses, and finds out by
// their control messages which address each was sent to, by the parser of x/net. The
// answers have the source address and the hop limit that their control messages say.
func TestControlMessages(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	second6 := netip.MustParsePrefix("fd99::7:7/64")
	server := host(t, ca, netstack.HostConfig{Addrs: append(addrs(), netip.MustParsePrefix("10.99.151.1/16"), second6)})
	client := host(t, cb, netstack.HostConfig{})
	s, c := listenUDP(t, server, "udp", ":53"), listenUDP(t, client, "udp", ":0")
	for _, conn := range []*netstack.UDPConn{s, c} {
		if err := conn.SetControlMessages(true); err != nil {
			t.Fatal(err)
		}
	}
	b, oob := make([]byte, 100), make([]byte, 200)
	for _, to := range []netip.Addr{addr4(server), netip.MustParseAddr("10.99.151.1"), addr6(server), second6.Addr()} {
		if _, _, err := c.WriteMsgUDPAddrPort([]byte("question"), hopLimit(to, 7), netip.AddrPortFrom(to, 53)); err != nil {
			t.Fatal(to, err)
		}
		n, oobn, flags, from, err := s.ReadMsgUDP(b, oob)
		if err != nil || string(b[:n]) != "question" || flags != 0 {
			t.Fatalf("%v: %q, flags %#x, %v", to, b[:n], flags, err)
		}
		dst, index, hops := parseMessages(t, to, oob[:oobn])
		if dst != to || index != 1 || hops != 7 {
			t.Errorf("to %v: destination %v, interface %d, hop limit %d", to, dst, index, hops)
		}
		if to != second6.Addr() && to != addr4(server) {
			continue
		}
		if n, oobn, err := s.WriteMsgUDP([]byte("answer"), source(to), from); n != 6 || oobn == 0 || err != nil {
			t.Fatal(to, n, oobn, err)
		}
		n, _, _, answered, err := c.ReadMsgUDPAddrPort(b, oob)
		if err != nil || answered.Addr() != to || string(b[:n]) != "answer" {
			t.Errorf("%q from %v, not %v: %v", b[:n], answered, to, err)
		}
	}
}

// hopLimit returns the control message for the time to live or hop limit.
func hopLimit(to netip.Addr, n int) []byte {
	if to.Is4() {
		return netstack.ControlInt(syscall.SOL_IP, syscall.IP_TTL, n) // ipv4.ControlMessage does not marshal it
	}
	return (&ipv6.ControlMessage{HopLimit: n}).Marshal()
}

// source returns the control message for the source address.
func source(a netip.Addr) []byte {
	if a.Is4() {
		return (&ipv4.ControlMessage{Src: a.AsSlice()}).Marshal()
	}
	return (&ipv6.ControlMessage{Src: a.AsSlice()}).Marshal()
}

func parseMessages(t *testing.T, to netip.Addr, oob []byte) (dst netip.Addr, index, hops int) {
	t.Helper()
	var ip net.IP
	if to.Is4() {
		var m ipv4.ControlMessage
		if err := m.Parse(oob); err != nil {
			t.Fatal(err)
		}
		ip, index, hops = m.Dst, m.IfIndex, m.TTL
	} else {
		var m ipv6.ControlMessage
		if err := m.Parse(oob); err != nil {
			t.Fatal(err)
		}
		ip, index, hops = m.Dst, m.IfIndex, m.HopLimit
	}
	dst, _ = netip.AddrFromSlice(ip)
	return dst.Unmap(), index, hops
}

// TestControlMessageErrors sends and receives messages that are cut off, too many, or
// ask for what cannot be.
func TestControlMessageErrors(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	second := netip.MustParsePrefix("10.99.152.1/16")
	a := host(t, ca, netstack.HostConfig{})
	b := host(t, cb, netstack.HostConfig{Addrs: append(addrs(), second)})
	in, out := listenUDP(t, a, "udp", ":53"), listenUDP(t, b, "udp", ":0")
	to := netip.AddrPortFrom(addr4(a), 53)
	for _, test := range []struct {
		oob  []byte
		want syscall.Errno
	}{
		{hopLimit(to.Addr(), 7)[:syscall.SizeofCmsghdr+2], syscall.EINVAL},
		{source(second.Addr()), syscall.EOPNOTSUPP}, // gVisor cannot
		{hopLimit(to.Addr(), 256), syscall.EINVAL},
		{syscall.UnixRights(0), syscall.EOPNOTSUPP},
	} {
		_, _, err := out.WriteMsgUDPAddrPort([]byte("x"), test.oob, to)
		wantErrno(t, err, "write", test.want)
	}
	_, _, err := out.WriteMsgUDP([]byte("x"), nil, nil)
	wantErrno(t, err, "write", syscall.EDESTADDRREQ)

	if err := in.SetControlMessages(true); err != nil {
		t.Fatal(err)
	}
	oob := make([]byte, 20) // less than one message
	for range 2 {
		if _, _, err := out.WriteMsgUDPAddrPort([]byte("four"), nil, to); err != nil {
			t.Fatal(err)
		}
	}
	if n, oobn, flags, _, err := in.ReadMsgUDPAddrPort(make([]byte, 2), oob); n != 2 || oobn != 0 || flags != syscall.MSG_TRUNC|syscall.MSG_CTRUNC || err != nil {
		t.Errorf("%d bytes, %d of messages, flags %#x, %v", n, oobn, flags, err)
	}
	if err := in.SetControlMessages(false); err != nil {
		t.Fatal(err)
	}
	if n, oobn, flags, _, err := in.ReadMsgUDPAddrPort(make([]byte, 9), oob); n != 4 || oobn != 0 || flags != 0 || err != nil {
		t.Errorf("%d bytes, %d of messages, flags %#x, %v", n, oobn, flags, err)
	}
	dialled, err := b.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	c := dialled.(*netstack.UDPConn)
	if _, _, err := c.WriteMsgUDP([]byte("dialled"), nil, nil); err != nil {
		t.Error(err)
	}
	_, _, err = c.WriteMsgUDPAddrPort([]byte("x"), nil, to)
	wantErr(t, err, "write", net.ErrWriteToConnected)
}

// TestNoDescriptor gives a socket to the packages of x/net, whose functions need a
// descriptor. They must fail, and not use one of the kernel.
func TestNoDescriptor(t *testing.T) {
	t.Parallel()
	a, _ := hosts(t, netstack.HostConfig{})
	c := listenUDP(t, a, "udp", ":0")
	if _, ok := any(c).(syscall.Conn); ok {
		t.Error("the socket has a descriptor")
	}
	_, _, _, err := ipv4.NewPacketConn(c).ReadFrom(make([]byte, 1))
	for i, err := range []error{err, ipv4.NewPacketConn(c).SetMulticastTTL(1), ipv6.NewPacketConn(c).SetMulticastHopLimit(1)} {
		if err == nil {
			t.Errorf("%d: no error", i)
		}
	}
}
