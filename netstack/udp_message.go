// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// SetControlMessages sets whether ReadMsgUDP returns control messages: the destination
// address and the interface of each datagram (IP_PKTINFO, IPV6_PKTINFO), its time to
// live or hop limit, and its type of service or traffic class. A socket that is bound
// to no address finds out by them to which address of the Host a datagram was sent.
func (c *UDPConn) SetControlMessages(on bool) error {
	if isDone(c.closing) {
		return c.setErr(net.ErrClosed)
	}
	ops := c.ep.SocketOptions()
	ops.SetReceivePacketInfo(on)
	ops.SetReceiveTTL(on)
	ops.SetReceiveTOS(on)
	if c.v6 {
		ops.SetIPv6ReceivePacketInfo(on)
		ops.SetReceiveHopLimit(on)
		ops.SetReceiveTClass(on)
	}
	return nil
}

// ReadMsgUDP is ReadMsgUDPAddrPort with a [*net.UDPAddr].
func (c *UDPConn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	n, oobn, flags, from, err := c.ReadMsgUDPAddrPort(b, oob)
	if err != nil {
		return 0, 0, 0, nil, err
	}
	return n, oobn, flags, net.UDPAddrFromAddrPort(from), nil
}

// ReadMsgUDPAddrPort receives one datagram into b and its control messages into oob;
// see [UDPConn.SetControlMessages]. They have the form that the kernel of Linux gives
// them, which ControlMessage.Parse of golang.org/x/net/ipv4 and ipv6 reads. flags
// includes MSG_TRUNC if the datagram did not fit, and MSG_CTRUNC if a control message
// did not. On other systems there are neither control messages nor flags.
func (c *UDPConn) ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	n, res, err := c.receive(b)
	if err != nil {
		return 0, 0, 0, netip.AddrPort{}, err
	}
	oobn, flags = putControlMessages(oob, &res.ControlMessages)
	if n < res.Total {
		flags |= msgTrunc
	}
	return n, oobn, flags, addrPort(res.RemoteAddr), nil
}

// WriteMsgUDP is WriteMsgUDPAddrPort with a [*net.UDPAddr], which is nil if the socket
// is connected.
func (c *UDPConn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	if addr == nil {
		return c.WriteMsgUDPAddrPort(b, oob, netip.AddrPort{})
	}
	to, err := udpAddrPort(addr)
	if err != nil {
		return 0, 0, c.opError("write", nil, err)
	}
	return c.WriteMsgUDPAddrPort(b, oob, to)
}

// WriteMsgUDPAddrPort sends one datagram to addr, or to the dialled address if addr is
// the zero value. oob may hold control messages in the form of Linux, as
// ControlMessage.Marshal of golang.org/x/net/ipv4 and ipv6 writes them: the time to live
// or hop limit, and the source address and interface. Of IPv4 sources, only the one that
// the datagram would have anyway is possible; others fail with EOPNOTSUPP. So do other
// control messages, and all on other systems.
func (c *UDPConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	var to *tcpip.FullAddress
	switch {
	case c.raddr == nil && !addr.IsValid():
		return 0, 0, c.opError("write", nil, errno("sendmsg", &tcpip.ErrDestinationRequired{}))
	case c.raddr != nil && addr.IsValid():
		return 0, 0, c.opError("write", net.UDPAddrFromAddrPort(addr), net.ErrWriteToConnected)
	case addr.IsValid():
		full, err := c.destination(addr)
		if err != nil {
			return 0, 0, c.opError("write", net.UDPAddrFromAddrPort(addr), err)
		}
		to = &full
	}
	m, source, err := parseControlMessages(oob)
	if err == nil && source.IsValid() {
		err = c.checkSource(source, to)
	}
	if err != nil {
		return 0, 0, c.opError("write", nil, err)
	}
	n, err = c.send(b, tcpip.WriteOptions{To: to, ControlMessages: m})
	if err != nil {
		return 0, 0, err
	}
	return n, len(oob), nil
}

// checkSource returns an error if a datagram to to would not have the IPv4 source
// address that a control message asks for.
func (c *UDPConn) checkSource(source netip.Addr, to *tcpip.FullAddress) error {
	local, err := c.ep.GetLocalAddress()
	if err != nil {
		return errno("sendmsg", err)
	}
	if netipAddr(local.Addr) == source {
		return nil
	}
	if to != nil && (local.Addr.BitLen() == 0 || local.Addr.Unspecified()) {
		r, err := c.h.stack.FindRoute(to.NIC, tcpip.Address{}, to.Addr, protocolOf(netipAddr(to.Addr)), false)
		if err != nil {
			return errno("sendmsg", err)
		}
		defer r.Release()
		if netipAddr(r.LocalAddress()) == source {
			return nil
		}
	}
	return errno("sendmsg", &tcpip.ErrNotSupported{})
}
