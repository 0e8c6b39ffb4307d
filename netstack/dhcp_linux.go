// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/packet"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/go-vde/sdk/frame"
)

const (
	// dhcpRetry is the time after which a message without an answer is sent
	// again.
	dhcpRetry = time.Second

	// dhcpTries is how often a message is sent in one attempt.
	dhcpTries = 4

	// dhcpPause is the time between attempts to get a new lease after the old one
	// was lost.
	dhcpPause = 5 * time.Second

	// dhcpDeclined is how long the client waits after it has declined an address
	// (RFC 2131, section 3.1, item 5).
	dhcpDeclined = 10 * time.Second
)

// broadcast4 is the limited broadcast address.
var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// A dhcpClient holds and renews the lease of a host.
type dhcpClient struct {
	h      *Host
	conn   *dhcpConn
	client *nclient4.Client
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mods []dhcpv4.Modifier // of all requests
	id   []dhcpv4.Modifier // the client identifier, which is in all messages
	mtu  uint32            // MTU of the configuration

	// These are used by one goroutine at a time.
	ack    *dhcpv4.DHCPv4 // of the lease that the host has, or nil
	prefix netip.Prefix   // address from the lease
	routes []tcpip.Route  // from the lease, without the route to prefix
}

// startDHCP gets a lease and starts the goroutine that renews it. ctx bounds the first
// only.
func (h *Host) startDHCP(ctx context.Context, cfg *HostConfig) error {
	conn, err := h.newDHCPConn()
	if err != nil {
		return err
	}
	mac := h.MAC()
	client, err := nclient4.NewWithConn(conn, mac.HardwareAddr(), nclient4.WithTimeout(dhcpRetry), nclient4.WithRetry(dhcpTries))
	if err != nil {
		conn.Close()
		return err
	}
	d := &dhcpClient{h: h, conn: conn, client: client, mtu: uint32(cfg.MTU)}
	if len(cfg.ClientID) > 0 {
		d.id = append(d.id, dhcpv4.WithOption(dhcpv4.OptClientIdentifier(slices.Clone(cfg.ClientID))))
	}
	d.mods = append(d.mods, dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionClasslessStaticRoute,
		dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU))
	d.mods = append(d.mods, d.id...)
	if cfg.Hostname != "" {
		d.mods = append(d.mods, dhcpv4.WithOption(dhcpv4.OptHostName(cfg.Hostname)))
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	h.dhcp = d
	defer context.AfterFunc(h.ep.Context(), d.cancel)()
	ctx, cancel := context.WithTimeout(ctx, cfg.DHCPTimeout)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	lease, err := d.acquire(ctx)
	if d.ctx.Err() != nil { // the connection has ended, and end is about to be called
		<-h.done
		return h.Err()
	}
	if err != nil {
		return err
	}
	d.wg.Go(func() { d.keep(lease) })
	return nil
}

// stop ends the client and releases the lease.
func (d *dhcpClient) stop() {
	d.cancel()
	d.client.Close()
	d.wg.Wait()
	if d.ack != nil {
		d.release()
	}
}

// release tells the server that the host does not use its address any more. It does
// not wait: the server does not answer, and forgets the lease later in any case.
func (d *dhcpClient) release() {
	m, err := dhcpv4.NewReleaseFromACK(d.ack, d.id...)
	server, ok := netip.AddrFromSlice(d.ack.ServerIdentifier().To4())
	to := d.conn.server.Load()
	if err != nil || !ok || to == nil {
		return
	}
	f := frame.AppendHeader(nil, *to, d.h.MAC(), frame.EtherTypeIPv4)
	f = append(f, buildDHCP(m.ToBytes(), address(d.prefix.Addr()), address(server))...)
	_, _ = d.h.ep.Conn().TryWriteBatch([][]byte{f})
}

// decline tells the server of ack that another host has the address.
func (d *dhcpClient) decline(ack *dhcpv4.DHCPv4) {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(dhcpv4.MessageTypeDecline),
		dhcpv4.WithHwAddr(ack.ClientHWAddr),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(ack.ServerIdentifier())),
		dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(ack.YourIPAddr)),
	}, d.id...)...)
	if err == nil {
		_, _ = d.conn.WriteTo(m.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast}) // RFC 2131: is not sent again
	}
}

// listen makes the endpoint deliver received frames to the packet socket of the
// client, until stop is called. At other times, the copies are not needed.
func (d *dhcpClient) listen() (stop func()) {
	d.h.ep.deliverLink.Store(true)
	return func() { d.h.ep.deliverLink.Store(false) }
}

// acquire gets a lease with an address that no other host has, and applies it. It
// tries until ctx ends.
func (d *dhcpClient) acquire(ctx context.Context) (*nclient4.Lease, error) {
	for {
		lease, err := d.request(ctx)
		if err != nil {
			return nil, err
		}
		if a, ok := leasedAddr(lease.ACK); ok && !slices.Contains(d.h.ownAddrs(), a) {
			switch err = d.h.probe(ctx, a); {
			case errors.Is(err, ErrAddressConflict):
				d.decline(lease.ACK)
				if !pause(ctx, dhcpDeclined) {
					return nil, fmt.Errorf("%w: %w: %w", ErrNoLease, err, contextError(ctx))
				}
				continue
			case err != nil:
				return nil, fmt.Errorf("%w: %w", ErrNoLease, err)
			}
		}
		if err := d.apply(lease); err != nil {
			return nil, err
		}
		return lease, nil
	}
}

// request gets a new lease. It tries until ctx ends.
func (d *dhcpClient) request(ctx context.Context) (*nclient4.Lease, error) {
	defer d.listen()()
	for {
		lease, err := d.client.Request(ctx, d.mods...)
		if err == nil {
			return lease, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoLease, contextError(ctx))
		}
		var nak *nclient4.ErrNak
		switch {
		case errors.Is(err, nclient4.ErrNoResponse):
		case errors.As(err, &nak): // the address has been given to another host
			pause(ctx, dhcpRetry)
		default:
			return nil, err
		}
	}
}

// keep renews the lease until the host is closed. When the lease has expired or its
// renewal is refused, keep requests a new one.
func (d *dhcpClient) keep(lease *nclient4.Lease) {
	for {
		t := termOf(lease.ACK)
		start := lease.CreationTime
		if !d.pause(time.Until(start.Add(t.renew))) {
			return
		}
		next := d.renew(lease, start.Add(t.rebind), true)
		if next == nil && d.ack != nil {
			next = d.renew(lease, start.Add(t.end), false)
		}
		for next == nil {
			if d.ctx.Err() != nil {
				return
			}
			d.forget()
			var err error
			if next, err = d.acquire(d.ctx); err != nil {
				if !d.pause(dhcpPause) {
					return
				}
				continue
			}
			d.h.announce(d.prefix.Addr())
		}
		lease = next
	}
}

// renew requests a renewal until end, and applies it: from the server of the lease, or
// with unicast false from any server. It returns nil if no server answers. If one
// refuses, or its lease cannot be used, the host has no lease after that.
func (d *dhcpClient) renew(lease *nclient4.Lease, end time.Time, unicast bool) *nclient4.Lease {
	ctx, cancel := context.WithDeadline(d.ctx, end)
	defer cancel()
	for ctx.Err() == nil {
		ack, err := d.exchange(ctx, lease.ACK, unicast)
		switch {
		case err != nil:
		case ack.MessageType() == dhcpv4.MessageTypeNak:
			d.forget()
			return nil
		default:
			next := &nclient4.Lease{Offer: lease.Offer, ACK: ack, CreationTime: time.Now()}
			if d.apply(next) != nil {
				d.forget()
				return nil
			}
			return next
		}
		// RFC 2131, section 4.4.5: half of the time that is left, but at least a
		// minute.
		wait := max(time.Until(end)/2, time.Minute)
		if !d.pause(min(wait, time.Until(end))) {
			return nil
		}
	}
	return nil
}

// exchange sends a request to renew the lease of ack, and returns the answer.
func (d *dhcpClient) exchange(ctx context.Context, ack *dhcpv4.DHCPv4, unicast bool) (*dhcpv4.DHCPv4, error) {
	defer d.listen()()
	m, err := dhcpv4.NewRenewFromAck(ack, d.mods...)
	if err != nil {
		return nil, err
	}
	to := &net.UDPAddr{IP: net.IPv4bcast, Port: nclient4.ServerPort}
	match := nclient4.IsMessageType(dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNak)
	// The socket also takes the answer, which the stack would otherwise refuse. If
	// the program has the port, the request is broadcast.
	local := netip.AddrPortFrom(d.prefix.Addr(), nclient4.ClientPort)
	if c, err := d.h.ListenPacket("udp4", local.String()); err == nil {
		defer c.Close()
		if unicast {
			to.IP = ack.ServerIdentifier()
			d.conn.setUnicast(c)
			defer d.conn.setUnicast(nil)
		}
	}
	if unicast {
		match = nclient4.IsAll(nclient4.IsCorrectServer(ack.ServerIdentifier()), match)
	}
	return d.client.SendAndRead(ctx, to, m, match)
}

// pause waits for t. It returns false if the host is closed before.
func (d *dhcpClient) pause(t time.Duration) bool { return pause(d.ctx, t) }

// A dhcpConn sends and receives UDP datagrams of DHCP through a packet socket,
// because the host has no address yet. It broadcasts messages, except to a server
// while unicast is set, and receives those from the port of a server.
type dhcpConn struct {
	socket

	unicast net.PacketConn            // guarded by wmu; a UDP socket of the host, or nil
	server  atomic.Pointer[frame.MAC] // where the last message of a server came from
}

func (c *dhcpConn) setUnicast(u net.PacketConn) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.unicast = u
}

func (h *Host) newDHCPConn() (*dhcpConn, error) {
	wq := new(waiter.Queue)
	ep := packet.NewEndpoint(h.stack, true, header.IPv4ProtocolNumber, wq)
	if err := ep.Bind(tcpip.FullAddress{NIC: nicID, Port: uint16(header.IPv4ProtocolNumber)}); err != nil {
		ep.Close()
		return nil, errno("bind", err)
	}
	c := new(dhcpConn)
	c.init(h, "udp", ep, wq, false)
	return c, nil
}

// ReadFrom implements net.PacketConn.
func (c *dhcpConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.rmu.Lock()
	defer c.rmu.Unlock()
	for {
		if err := c.passed(&c.rd); err != nil {
			return 0, nil, err
		}
		var got bytes.Buffer
		res, err := c.ep.Read(&got, tcpip.ReadOptions{NeedRemoteAddr: true})
		switch {
		case err == nil:
			if payload, from, ok := parseDHCP(got.Bytes()); ok {
				if mac, ok := frame.MACFrom([]byte(res.RemoteAddr.LinkAddr)); ok {
					c.server.Store(&mac)
				}
				return copy(b, payload), from, nil
			}
		case !wouldBlock(err):
			return 0, nil, c.failure("recvfrom", err)
		default:
			if err := c.wait(&c.readable, &c.rd); err != nil {
				return 0, nil, err
			}
		}
	}
}

// parseDHCP returns the payload of packet if it is a message of a DHCP server.
func parseDHCP(packet []byte) (payload []byte, from *net.UDPAddr, ok bool) {
	ip := header.IPv4(packet)
	if len(ip) < header.IPv4MinimumSize || !ip.IsValid(len(packet)) || !ip.IsChecksumValid() ||
		ip.TransportProtocol() != header.UDPProtocolNumber || ip.More() || ip.FragmentOffset() != 0 {
		return nil, nil, false
	}
	u := header.UDP(ip.Payload())
	if len(u) < header.UDPMinimumSize || u.SourcePort() != nclient4.ServerPort || u.DestinationPort() != nclient4.ClientPort ||
		int(u.Length()) < header.UDPMinimumSize || int(u.Length()) > len(u) {
		return nil, nil, false
	}
	u = u[:u.Length()]
	sum := checksum.Checksum(u.Payload(), 0)
	if u.Checksum() != 0 && !u.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), sum) {
		return nil, nil, false
	}
	return u.Payload(), &net.UDPAddr{IP: ip.SourceAddressSlice(), Port: int(u.SourcePort())}, true
}

// WriteTo implements net.PacketConn.
func (c *dhcpConn) WriteTo(b []byte, dst net.Addr) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if u, ok := dst.(*net.UDPAddr); ok && c.unicast != nil && !u.IP.Equal(net.IPv4bcast) {
		return c.unicast.WriteTo(b, dst)
	}
	if err := c.passed(&c.wd); err != nil {
		return 0, err
	}
	to := tcpip.FullAddress{NIC: nicID, Port: uint16(header.IPv4ProtocolNumber), LinkAddr: header.EthernetBroadcastAddress}
	if _, err := c.ep.Write(bytes.NewReader(buildDHCP(b, header.IPv4Any, header.IPv4Broadcast)), tcpip.WriteOptions{To: &to}); err != nil {
		return 0, c.failure("sendto", err)
	}
	return len(b), nil
}

// buildDHCP returns a datagram with b from the port of a client to that of a server.
func buildDHCP(b []byte, from, to tcpip.Address) []byte {
	packet := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize+len(b))
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(packet)),
		TTL:         64,
		Protocol:    uint8(header.UDPProtocolNumber),
		SrcAddr:     from,
		DstAddr:     to,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	u := header.UDP(ip.Payload())
	length := uint16(len(u))
	u.Encode(&header.UDPFields{SrcPort: nclient4.ClientPort, DstPort: nclient4.ServerPort, Length: length})
	copy(u.Payload(), b)
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, from, to, length)
	u.SetChecksum(^u.CalculateChecksum(checksum.Checksum(u.Payload(), sum)))
	return packet
}

// LocalAddr implements net.PacketConn.
func (c *dhcpConn) LocalAddr() net.Addr {
	return &net.UDPAddr{IP: net.IPv4zero, Port: nclient4.ClientPort}
}

// Close implements net.PacketConn.
func (c *dhcpConn) Close() error {
	c.close()
	return nil
}
