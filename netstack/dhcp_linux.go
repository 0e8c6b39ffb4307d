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
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/packet"
	"gvisor.dev/gvisor/pkg/waiter"
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

	// maxDNS bounds the name servers of a host: each lease may add some.
	maxDNS = 16

	// defaultLease is the lease time if the server sends none.
	defaultLease = time.Hour
)

// broadcast4 is the limited broadcast address.
var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// A dhcpClient holds and renews the lease of a host.
type dhcpClient struct {
	h      *Host
	client *nclient4.Client
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	prefix netip.Prefix // address from the lease; used by one goroutine at a time
	route  tcpip.Route  // default route from the lease; the same
}

// startDHCP gets a lease and starts the goroutine that renews it. ctx bounds the first
// only.
func (h *Host) startDHCP(ctx context.Context, timeout time.Duration) error {
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
	d := &dhcpClient{h: h, client: client}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	h.dhcp = d
	defer context.AfterFunc(h.ep.Context(), d.cancel)()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	lease, err := d.request(ctx)
	if d.ctx.Err() != nil { // the connection has ended, and end is about to be called
		<-h.done
		return h.Err()
	}
	if err != nil {
		return err
	}
	if err := d.apply(lease); err != nil {
		return err
	}
	d.wg.Go(func() { d.keep(lease) })
	return nil
}

// stop ends the client. It does not release the lease, so that a host that is
// started again soon gets the same address.
func (d *dhcpClient) stop() {
	d.cancel()
	d.client.Close()
	d.wg.Wait()
}

// listen makes the endpoint deliver received frames to the packet socket of the
// client, until stop is called. At other times, the copies are not needed.
func (d *dhcpClient) listen() (stop func()) {
	d.h.ep.deliverLink.Store(true)
	return func() { d.h.ep.deliverLink.Store(false) }
}

// request gets a new lease. It tries until ctx ends.
func (d *dhcpClient) request(ctx context.Context) (*nclient4.Lease, error) {
	defer d.listen()()
	for {
		lease, err := d.client.Request(ctx, dhcpv4.WithRequestedOptions(
			dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU))
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
			d.pause(dhcpRetry)
		default:
			return nil, err
		}
	}
}

// apply configures the host with the address, routes and name servers of lease.
func (d *dhcpClient) apply(lease *nclient4.Lease) error {
	ack := lease.ACK
	addr, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	ones, bits := ack.SubnetMask().Size()
	if !ok || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr == broadcast4 {
		return fmt.Errorf("%w: the server offers the address %v", ErrNoLease, ack.YourIPAddr)
	}
	if bits != 32 {
		ones = addressClass(addr)
	}
	prefix := netip.PrefixFrom(addr, ones)
	var route tcpip.Route
	for _, ip := range ack.Router() {
		if gw, ok := netip.AddrFromSlice(ip.To4()); ok && gw != addr && prefix.Contains(gw) {
			route = defaultRoute(gw)
			break
		}
	}
	if prefix != d.prefix {
		d.forget()
		if err := d.h.addAddr(prefix); err != nil {
			return err
		}
		d.prefix = prefix
	}
	if !route.Equal(d.route) {
		d.dropRoute()
		if route.NIC != 0 {
			d.h.stack.AddRoute(route)
		}
		d.route = route
	}
	var dns []netip.Addr
	for _, ip := range ack.DNS() {
		if a, ok := netip.AddrFromSlice(ip.To4()); ok {
			dns = append(dns, a)
		}
	}
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	for _, a := range dns {
		if !slices.Contains(d.h.dns, a) && len(d.h.dns) < maxDNS {
			d.h.dns = append(d.h.dns, a)
		}
	}
	return nil
}

// addressClass returns the prefix length of the address class of a, for a server
// that sends no mask.
func addressClass(a netip.Addr) int {
	switch b := a.As4()[0]; {
	case b < 128:
		return 8
	case b < 192:
		return 16
	}
	return 24
}

// forget removes the address and the route of a lost lease from the host.
func (d *dhcpClient) forget() {
	d.dropRoute()
	if d.prefix.IsValid() {
		d.h.removeAddr(d.prefix)
		d.prefix = netip.Prefix{}
	}
}

func (d *dhcpClient) dropRoute() {
	if d.route.NIC != 0 {
		old := d.route
		d.h.stack.RemoveRoutes(func(r tcpip.Route) bool { return r.Equal(old) })
		d.route = tcpip.Route{}
	}
}

// keep renews the lease until the host is closed. It starts after half of the lease
// time. When the lease has expired or its renewal is refused, keep requests a new one.
func (d *dhcpClient) keep(lease *nclient4.Lease) {
	for {
		term := lease.ACK.IPAddressLeaseTime(defaultLease)
		renew := lease.ACK.IPAddressRenewalTime(term / 2)
		end := lease.CreationTime.Add(term)
		if !d.pause(time.Until(lease.CreationTime.Add(renew))) {
			return
		}
		next := d.renew(lease, end)
		for next == nil {
			if d.ctx.Err() != nil {
				return
			}
			d.forget()
			var err error
			if next, err = d.request(d.ctx); err != nil && !d.pause(dhcpPause) {
				return
			}
		}
		lease = next
		if d.apply(lease) != nil {
			lease = &nclient4.Lease{Offer: lease.Offer, ACK: lease.ACK} // expired: request another one
			if !d.pause(dhcpPause) {
				return
			}
		}
	}
}

// renew requests a renewal until end. It returns nil if the server refuses or does
// not answer.
func (d *dhcpClient) renew(lease *nclient4.Lease, end time.Time) *nclient4.Lease {
	ctx, cancel := context.WithDeadline(d.ctx, end)
	defer cancel()
	for ctx.Err() == nil {
		stop := d.listen()
		next, err := d.client.Renew(ctx, lease)
		stop()
		if err == nil {
			return next
		}
		var nak *nclient4.ErrNak
		if errors.As(err, &nak) {
			return nil
		}
		// RFC 2131: half of the time that is left, but at least a minute.
		wait := max(time.Until(end)/2, time.Minute)
		if !d.pause(min(wait, time.Until(end))) {
			return nil
		}
	}
	return nil
}

// pause waits for t. It returns false if the host is closed before.
func (d *dhcpClient) pause(t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// A dhcpConn sends and receives UDP datagrams of DHCP through a packet socket,
// because the host has no address yet. It broadcasts all messages, and receives
// those from the port of a server.
type dhcpConn struct {
	socket
}

func (h *Host) newDHCPConn() (*dhcpConn, error) {
	wq := new(waiter.Queue)
	ep := packet.NewEndpoint(h.stack, true, header.IPv4ProtocolNumber, wq)
	if err := ep.Bind(tcpip.FullAddress{NIC: nicID, Port: uint16(header.IPv4ProtocolNumber)}); err != nil {
		ep.Close()
		return nil, errno("bind", err)
	}
	c := new(dhcpConn)
	c.init(h, ep, wq, false)
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
		_, err := c.ep.Read(&got, tcpip.ReadOptions{})
		switch {
		case err == nil:
			if payload, from, ok := parseDHCP(got.Bytes()); ok {
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
func (c *dhcpConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.passed(&c.wd); err != nil {
		return 0, err
	}
	to := tcpip.FullAddress{NIC: nicID, Port: uint16(header.IPv4ProtocolNumber), LinkAddr: header.EthernetBroadcastAddress}
	if _, err := c.ep.Write(bytes.NewReader(buildDHCP(b)), tcpip.WriteOptions{To: &to}); err != nil {
		return 0, c.failure("sendto", err)
	}
	return len(b), nil
}

// buildDHCP returns a datagram with b from the unspecified address to the broadcast
// address.
func buildDHCP(b []byte) []byte {
	packet := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize+len(b))
	ip := header.IPv4(packet)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(packet)),
		TTL:         64,
		Protocol:    uint8(header.UDPProtocolNumber),
		SrcAddr:     header.IPv4Any,
		DstAddr:     header.IPv4Broadcast,
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	u := header.UDP(ip.Payload())
	length := uint16(len(u))
	u.Encode(&header.UDPFields{SrcPort: nclient4.ClientPort, DstPort: nclient4.ServerPort, Length: length})
	copy(u.Payload(), b)
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, header.IPv4Any, header.IPv4Broadcast, length)
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
