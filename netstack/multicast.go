// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// maxMulticastTTL is the largest number of the field in IP headers.
const maxMulticastTTL = 255

// JoinGroup makes the Host a member of the multicast group, so that datagrams to it
// arrive at sockets that are bound to their port, also if the switch forwards to
// members only. Close leaves the group. It returns EADDRINUSE if this socket has joined
// the group before.
func (c *UDPConn) JoinGroup(group netip.Addr) error {
	addr := address(group.Unmap().WithZone(""))
	return c.setOption(&tcpip.AddMembershipOption{NIC: nicID, MulticastAddr: addr}, group)
}

// LeaveGroup leaves a group that this socket has joined.
func (c *UDPConn) LeaveGroup(group netip.Addr) error {
	addr := address(group.Unmap().WithZone(""))
	return c.setOption(&tcpip.RemoveMembershipOption{NIC: nicID, MulticastAddr: addr}, group)
}

func (c *UDPConn) setOption(opt tcpip.SettableSocketOption, group netip.Addr) error {
	a := group.Unmap()
	switch {
	case isDone(c.closing):
		return c.setErr(net.ErrClosed)
	case !a.IsMulticast():
		return c.setErr(errno("setsockopt", &tcpip.ErrInvalidOptionValue{}))
	case a.Is6() && !c.v6:
		return c.setErr(errno("setsockopt", &tcpip.ErrAddressFamilyNotSupported{}))
	}
	c.h.opening.RLock()
	defer c.h.opening.RUnlock()
	if err := c.h.Err(); err != nil {
		return c.setErr(err)
	}
	return c.setErr(errno("setsockopt", c.ep.SetSockOpt(opt)))
}

// SetMulticastTTL sets the time to live, or hop limit, of datagrams to multicast groups.
// It is 1 by default, so that no router forwards them.
func (c *UDPConn) SetMulticastTTL(ttl int) error {
	switch {
	case isDone(c.closing):
		return c.setErr(net.ErrClosed)
	case ttl < 0 || ttl > maxMulticastTTL:
		return c.setErr(errno("setsockopt", &tcpip.ErrInvalidOptionValue{}))
	}
	return c.setErr(errno("setsockopt", c.ep.SetSockOptInt(tcpip.MulticastTTLOption, ttl)))
}

// SetMulticastLoopback sets whether datagrams that this socket sends to multicast groups
// are delivered to the sockets of the Host too. They are by default.
func (c *UDPConn) SetMulticastLoopback(on bool) error {
	if isDone(c.closing) {
		return c.setErr(net.ErrClosed)
	}
	c.ep.SocketOptions().SetMulticastLoop(on)
	return nil
}
