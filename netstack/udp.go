// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"net"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// A UDPConn is a UDP socket of a [Host]. Those of DialContext are connected, those
// of ListenPacket are not. Broadcast is allowed. Its methods may be called from any
// goroutine.
type UDPConn struct {
	socket
	raddr   net.Addr     // nil if not connected
	payload bytes.Reader // guarded by wmu
}

var (
	_ net.Conn       = (*UDPConn)(nil)
	_ net.PacketConn = (*UDPConn)(nil)
)

// ReadFromAddrPort receives one datagram into b. Bytes that do not fit are discarded.
func (c *UDPConn) ReadFromAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	n, res, err := c.receive(b)
	if err != nil {
		return 0, from, err
	}
	return n, addrPort(res.RemoteAddr), nil
}

// receive receives one datagram into b.
func (c *UDPConn) receive(b []byte) (n int, res tcpip.ReadResult, err error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	if err := c.passed(&c.rd); err != nil {
		return 0, res, c.opError("read", nil, err)
	}
	for {
		w := tcpip.SliceWriter(b)
		res, err := c.ep.Read(&w, tcpip.ReadOptions{NeedRemoteAddr: true})
		switch err.(type) {
		case nil, *tcpip.ErrBadBuffer: // the latter if b is empty
			return len(b) - len(w), res, nil
		case *tcpip.ErrWouldBlock:
			if err := c.wait(&c.readable, &c.rd); err != nil {
				return 0, res, c.opError("read", nil, err)
			}
		default:
			return 0, res, c.opError("read", nil, c.failure("recvfrom", err))
		}
	}
}

// ReadFrom implements net.PacketConn; the address is a [*net.UDPAddr].
func (c *UDPConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// Read implements net.Conn.
func (c *UDPConn) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromAddrPort(b)
	return n, err
}

// Write implements net.Conn. It sends one datagram to the dialled address.
func (c *UDPConn) Write(b []byte) (int, error) {
	if c.raddr == nil {
		return 0, c.opError("write", nil, errno("sendto", &tcpip.ErrDestinationRequired{}))
	}
	return c.send(b, tcpip.WriteOptions{})
}

// WriteTo implements net.PacketConn; addr is a [*net.UDPAddr].
func (c *UDPConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	ua, ok := addr.(*net.UDPAddr)
	if !ok {
		return 0, c.opError("write", addr, errno("sendto", &tcpip.ErrBadAddress{}))
	}
	to, err := udpAddrPort(ua)
	if err != nil {
		return 0, c.opError("write", nil, err)
	}
	return c.WriteToAddrPort(b, to)
}

// udpAddrPort converts a. Without an IP address it is of this host.
func udpAddrPort(a *net.UDPAddr) (netip.AddrPort, error) {
	switch {
	case a == nil:
		return netip.AddrPort{}, errno("sendto", &tcpip.ErrBadAddress{})
	case len(a.IP) == 0:
		return netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(a.Port)), nil
	}
	to := a.AddrPort()
	if !to.IsValid() {
		return to, errno("sendto", &tcpip.ErrBadAddress{})
	}
	return to, nil
}

// WriteToAddrPort sends one datagram to to.
func (c *UDPConn) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	switch {
	case c.raddr != nil:
		return 0, c.opError("write", net.UDPAddrFromAddrPort(to), net.ErrWriteToConnected)
	case !to.IsValid():
		return 0, c.opError("write", nil, errno("sendto", &tcpip.ErrDestinationRequired{}))
	}
	full, err := c.destination(to)
	if err != nil {
		return 0, c.opError("write", net.UDPAddrFromAddrPort(to), err)
	}
	return c.send(b, tcpip.WriteOptions{To: &full})
}

// destination returns to in the form that the endpoint takes. The unspecified address
// means this host.
func (c *UDPConn) destination(to netip.AddrPort) (tcpip.FullAddress, error) {
	a := to.Addr().Unmap()
	if a.IsUnspecified() {
		if a = c.self(); !a.IsValid() {
			return tcpip.FullAddress{}, errno("sendto", &tcpip.ErrNetworkUnreachable{})
		}
	}
	return fullAddress(netip.AddrPortFrom(a, to.Port())), c.h.reachable(a)
}

// self returns the address at which the host gets datagrams that this socket sends to no
// host: the one that it is bound to, or the first that it can send to.
func (c *UDPConn) self() netip.Addr {
	if a := c.laddr.(*net.UDPAddr).AddrPort().Addr().Unmap(); !a.IsUnspecified() {
		return a
	}
	name, err := parseNetwork(c.network)
	if err != nil {
		return netip.Addr{}
	}
	name.v6 = name.v6 && c.v6
	return c.h.self(name)
}

// send sends one datagram.
func (c *UDPConn) send(b []byte, o tcpip.WriteOptions) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	defer c.payload.Reset(nil)
	addr := c.raddr
	if o.To != nil {
		addr = net.UDPAddrFromAddrPort(addrPort(*o.To))
	}
	if err := c.passed(&c.wd); err != nil {
		return 0, c.opError("write", addr, err)
	}
	if err := c.h.Err(); err != nil {
		return 0, c.opError("write", addr, err)
	}
	for {
		c.payload.Reset(b)
		n, err := c.ep.Write(&c.payload, o)
		switch {
		case err == nil:
			return int(n), nil
		case !wouldBlock(err):
			return 0, c.opError("write", addr, c.failure("sendto", err))
		}
		if err := c.wait(&c.writable, &c.wd); err != nil {
			return 0, c.opError("write", addr, err)
		}
	}
}

// ReadFromUDPAddrPort is ReadFromAddrPort, under the name that [net.UDPConn] has for it.
func (c *UDPConn) ReadFromUDPAddrPort(b []byte) (n int, from netip.AddrPort, err error) {
	return c.ReadFromAddrPort(b)
}

// WriteToUDPAddrPort is WriteToAddrPort, under the name that [net.UDPConn] has for it.
func (c *UDPConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteToAddrPort(b, to)
}

// ReadFromUDP is ReadFrom with a [*net.UDPAddr].
func (c *UDPConn) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	n, from, err := c.ReadFromAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToUDP is WriteTo with a [*net.UDPAddr].
func (c *UDPConn) WriteToUDP(b []byte, addr *net.UDPAddr) (int, error) { return c.WriteTo(b, addr) }

// SetReadBuffer sets the size of the receive buffer, within the limits of the stack.
func (c *UDPConn) SetReadBuffer(bytes int) error { return c.setErr(c.setReadBuffer(bytes)) }

// SetWriteBuffer sets the size of the send buffer, within the limits of the stack.
func (c *UDPConn) SetWriteBuffer(bytes int) error { return c.setErr(c.setWriteBuffer(bytes)) }

func (c *UDPConn) setErr(err error) error {
	if err != nil {
		return c.opError("set", nil, err)
	}
	return nil
}

// Close implements net.Conn.
func (c *UDPConn) Close() error {
	if !c.close() {
		return c.opError("close", nil, net.ErrClosed)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *UDPConn) LocalAddr() net.Addr { return c.laddr }

// RemoteAddr implements net.Conn; it is nil if the socket is not connected.
func (c *UDPConn) RemoteAddr() net.Addr { return c.raddr }

func (c *UDPConn) opError(op string, to net.Addr, err error) error {
	if to == nil {
		to = c.raddr
	}
	return &net.OpError{Op: op, Net: c.network, Source: c.laddr, Addr: to, Err: err}
}

// listenUDP binds a socket to ap.
func (h *Host) listenUDP(network string, name networkName, ap netip.AddrPort, control controlFunc) (*UDPConn, error) {
	c := &UDPConn{}
	err := h.bound(&c.socket, network, udp.ProtocolNumber, name, ap, control, func(ep tcpip.Endpoint, full tcpip.FullAddress) error {
		ep.SocketOptions().SetBroadcast(true)
		return errno("bind", ep.Bind(full))
	})
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: netAddr("udp", ap, false), Err: err}
	}
	c.laddr = c.local("udp")
	return c, nil
}

// dialUDP connects a socket to ap, which sends no packet.
func (h *Host) dialUDP(network string, ap netip.AddrPort, o dialOptions) (*UDPConn, error) {
	ep, wq, err := h.newEndpoint(udp.ProtocolNumber, protocolOf(ap.Addr()))
	if err != nil {
		return nil, err
	}
	ep.SocketOptions().SetBroadcast(true)
	if err := o.prepare("udp", ap, ep); err != nil {
		ep.Close()
		return nil, err
	}
	h.opening.RLock()
	defer h.opening.RUnlock()
	if err := h.Err(); err != nil {
		ep.Close()
		return nil, err
	}
	if err := ep.Connect(fullAddress(ap)); err != nil {
		ep.Close()
		return nil, errno("connect", err)
	}
	c := &UDPConn{}
	c.init(h, network, ep, wq, ap.Addr().Is6())
	c.laddr, c.raddr = c.local("udp"), c.remote("udp")
	return c, nil
}
