// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// A ListenConfig opens listeners and UDP sockets of a [Host] with options, as a
// [net.ListenConfig] does those of the kernel. Host must be set.
type ListenConfig struct {
	Host *Host

	// Control, if not nil, is called with each new socket before it is bound. network
	// and address are those that it is going to be bound to, as in "tcp6" and
	// "[::]:80". A Host has no descriptors: in place of setsockopt, call SetSockOpt
	// and SetSockOptInt of ep and the methods of ep.SocketOptions(). Control must not
	// bind or close ep.
	//
	// With SetReusePort(true) for all of them, several listeners or UDP sockets have
	// the same address and port, and connections and datagrams are distributed.
	Control func(network, address string, ep tcpip.Endpoint) error
}

// Listen is [Host.Listen]. ctx bounds how long a name is looked up.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	name, ap, err := lc.Host.listenAddr(ctx, network, "tcp", address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	l, err := lc.Host.listenTCP(network, name, ap, lc.Control)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ListenPacket is [Host.ListenPacket]. ctx bounds how long a name is looked up.
func (lc *ListenConfig) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	name, ap, err := lc.Host.listenAddr(ctx, network, "udp", address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	c, err := lc.Host.listenUDP(network, name, ap, lc.Control)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// A Dialer connects from a [Host] with options, as a [net.Dialer] does from the
// kernel. Host must be set.
type Dialer struct {
	Host *Host

	// LocalAddr is the local address and port; see [Host.DialFrom].
	LocalAddr netip.AddrPort

	// Control, if not nil, is called with each new socket before it is bound or
	// connected. network and address are those that it is going to be connected to;
	// the rest is as in [ListenConfig]. If a name has several addresses, it may be
	// called for several sockets at the same time.
	Control func(network, address string, ep tcpip.Endpoint) error
}

// Dial is DialContext with [context.Background].
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext is [Host.DialContext].
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	local := netip.AddrPortFrom(d.LocalAddr.Addr().Unmap(), d.LocalAddr.Port())
	conn, to, err := d.Host.dial(ctx, network, address, dialOptions{local, d.Control})
	if err != nil {
		oe := &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
		if local != (netip.AddrPort{}) {
			oe.Source = netAddr(strings.TrimRight(network, "46"), local, false)
		}
		return nil, oe
	}
	return conn, nil
}

// A controlFunc is the Control of a ListenConfig or a Dialer.
type controlFunc func(network, address string, ep tcpip.Endpoint) error

// call calls f, if it is not nil, for a socket that is going to have the address a,
// and is of IPv6 if v6 is set.
func (f controlFunc) call(proto string, v6 bool, a netip.AddrPort, ep tcpip.Endpoint) error {
	if f == nil {
		return nil
	}
	network := proto + "4"
	if v6 {
		network = proto + "6"
	}
	return f(network, netAddr(proto, a, v6).String(), ep)
}

// dialOptions are how to dial.
type dialOptions struct {
	local   netip.AddrPort // as far as it is given
	control controlFunc
}

// prepare does what comes before connecting ep to ap.
func (o dialOptions) prepare(proto string, ap netip.AddrPort, ep tcpip.Endpoint) error {
	if err := o.control.call(proto, ap.Addr().Is6(), ap, ep); err != nil {
		return err
	}
	return bindLocal(ep, o.local)
}
