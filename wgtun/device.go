// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun

import (
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// batchSize is how many packets one call of Read or Write carries: as many frames as a
// VDE connection sends at once.
const batchSize = 64

// A Device is a tun.Device of wireguard-go on a port of a VDE network: what WireGuard
// writes is routed to the Ethernet, and what hosts there send to the networks behind the
// tunnel is read by WireGuard. Its methods may be called from any goroutine.
type Device struct {
	name      string
	mtu       int
	addrs     []netip.Addr // on the Ethernet
	hasV6     bool
	stack     *stack.Stack
	forwarder *netstack.Forwarder
	ep        *netstack.Endpoint
	tunnel    *tunnel
	events    chan tun.Event

	written      atomic.Uint64
	writeInvalid atomic.Uint64

	unwatch   func() // ends the calls of linkChanged
	closeOnce sync.Once
}

var _ tun.Device = (*Device)(nil)

// errShutdown is the error of a Device after Close. wireguard-go takes it for the
// ordinary end and logs nothing.
var errShutdown = fmt.Errorf("wgtun: %w", os.ErrClosed)

// New returns a device on c and takes c over. It announces its addresses to the hosts of
// the network, again when the link of a connection opened with [vde.WithReconnect] is
// up again. If New fails because of cfg or c, c is still open and the caller's.
func New(c *vde.Conn, cfg Config) (*Device, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("wgtun: %w", err)
	}
	d := &Device{
		name:   cfg.Name,
		mtu:    cfg.MTU,
		hasV6:  cfg.hasV6(),
		tunnel: newTunnel(cfg.MTU, cfg.Queue),
		events: make(chan tun.Event, 1),
	}
	for _, p := range cfg.Addrs {
		d.addrs = append(d.addrs, p.Addr())
	}
	var err error
	d.ep, err = netstack.NewEndpoint(c, netstack.EndpointConfig{
		MAC: cfg.MAC, MTU: cfg.EthernetMTU, Queue: cfg.Queue,
		Forwarding: true,
		OnEnd:      d.end,
	})
	if err != nil {
		return nil, err
	}
	d.stack = newStack(d.hasV6)
	d.unwatch = func() {}
	if err := d.configure(&cfg); err != nil {
		d.Close()
		return nil, fmt.Errorf("wgtun: %w", err)
	}
	d.unwatch = c.OnLinkChange(d.linkChanged)
	d.ep.Announce(d.addrs...)
	d.events <- tun.EventUp
	return d, nil
}

// end is called when the connection has ended.
func (d *Device) end(cause error) { d.tunnel.close(fmt.Errorf("wgtun: %w", cause)) }

// linkChanged is called when the link of the connection is down or up again.
func (d *Device) linkChanged(s vde.LinkState) {
	if s.Up {
		d.ep.Announce(d.addrs...)
	}
}

// Read waits for packets from the Ethernet and copies each, without an Ethernet header,
// into an element of bufs, from offset on. It returns how many, and their lengths in
// bytes in sizes, which is at least as long as bufs. A packet that does not fit its
// element is dropped and counted. After Close it returns an error that matches
// os.ErrClosed, and when the connection to the network has ended the cause, such as
// [vde.ErrHangup]. bufs is lent for the call.
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return d.tunnel.read(bufs, sizes, offset)
}

// Write routes packets to the Ethernet: the bytes of each element of bufs from offset
// on. It copies them, does not wait, and returns how many it has taken: all, unless the
// device has been closed or the connection to the network has ended. Those that cannot
// be delivered are dropped and counted, as in any router.
func (d *Device) Write(bufs [][]byte, offset int) (int, error) {
	for i, b := range bufs {
		if err := d.tunnel.closeCause(); err != nil {
			return i, err
		}
		d.written.Add(1)
		if len(b) <= offset {
			d.writeInvalid.Add(1)
			continue
		}
		d.deliver(b[offset:])
	}
	return len(bufs), nil
}

// deliver gives the stack a copy of a packet.
func (d *Device) deliver(b []byte) {
	protocol := header.IPv4ProtocolNumber
	switch version := b[0] >> 4; {
	case version == header.IPv4Version:
	case version == header.IPv6Version && d.hasV6:
		protocol = header.IPv6ProtocolNumber
	default:
		d.writeInvalid.Add(1)
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(b)})
	d.tunnel.InjectInbound(protocol, pkt)
	pkt.DecRef()
}

// MTU returns the MTU of the tunnel.
func (d *Device) MTU() (int, error) { return d.mtu, nil }

// Name returns the name of the configuration.
func (d *Device) Name() (string, error) { return d.name, nil }

// MAC returns the Ethernet address of the device.
func (d *Device) MAC() frame.MAC { return d.ep.MAC() }

// File returns nil: the device is not one of the kernel.
func (d *Device) File() *os.File { return nil }

// BatchSize returns how many packets a call of Read or Write is best given.
func (d *Device) BatchSize() int { return batchSize }

// Events returns a channel with one event, tun.EventUp. Close closes it. When the link of
// a connection that reconnects is down there is no event: the sessions of WireGuard are
// kept.
func (d *Device) Events() <-chan tun.Event { return d.events }

// Err returns nil while the device is on the network, and then the reason for its end.
func (d *Device) Err() error { return d.tunnel.closeCause() }

// Close closes the connection to the network, and waits until all goroutines of the
// device have ended. Calls of Read that wait return. Calls of Close after the first
// return nil. The device of wireguard-go calls it in its own Close.
func (d *Device) Close() error {
	d.closeOnce.Do(func() {
		d.tunnel.close(errShutdown)
		d.unwatch()
		d.stack.Close()
		d.ep.Close() // before Wait of the stack, which holds a lock that a delivery may need
		d.stack.Wait()
		close(d.events)
	})
	return nil
}
