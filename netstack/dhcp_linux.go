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
	// dhcpRetry is how long a message waits for its answer before it is sent
	// again.
	dhcpRetry = time.Second

	// dhcpTries is how often a message is sent in one attempt.
	dhcpTries = 4

	// dhcpPause is between attempts to get a new lease once the old has been lost.
	dhcpPause = 5 * time.Second

	// maxDNS is how many name servers a host knows at most: each lease may bring
	// others.
	maxDNS = 16

	// defaultLease is for servers that name no time.
	defaultLease = time.Hour
)

// broadcast4 is nobody's address.
var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// A dhcpClient keeps a host's lease.
type dhcpClient struct {
	h      *Host
	client *nclient4.Client
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	prefix netip.Prefix // what the lease gave the host; used by one goroutine at a time
	route  tcpip.Route
}

// startDHCP gets a lease and starts the goroutine that renews it.
func (h *Host) startDHCP(timeout time.Duration) error {
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
	ctx, cancel := context.WithTimeout(d.ctx, timeout)
	defer cancel()
	lease, err := d.request(ctx)
	if d.ctx.Err() != nil { // the connection has ended, which the host is just being told
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

// stop ends the client. The lease is not released: a host that comes back soon
// gets the same address.
func (d *dhcpClient) stop() {
	d.cancel()
	d.client.Close()
	d.wg.Wait()
}

// listen makes the endpoint show what it receives to the client's socket until
// the function returned is called. Else every packet would be copied for it.
func (d *dhcpClient) listen() (stop func()) {
	d.h.ep.deliverLink.Store(true)
	return func() { d.h.ep.deliverLink.Store(false) }
}

// request gets a new lease, trying until ctx ends.
func (d *dhcpClient) request(ctx context.Context) (*nclient4.Lease, error) {
	defer d.listen()()
	for {
		lease, err := d.client.Request(ctx, dhcpv4.WithRequestedOptions(
			dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionInterfaceMTU))
		if err == nil {
			return lease, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("no lease: %w", contextError(ctx))
		}
		var nak *nclient4.ErrNak
		switch {
		case errors.Is(err, nclient4.ErrNoResponse):
		case errors.As(err, &nak): // the address was given to somebody else meanwhile
			d.pause(dhcpRetry)
		default:
			return nil, err
		}
	}
}

// apply gives the host what lease says.
func (d *dhcpClient) apply(lease *nclient4.Lease) error {
	ack := lease.ACK
	addr, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	ones, bits := ack.SubnetMask().Size()
	if !ok || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() || addr == broadcast4 {
		return fmt.Errorf("the server offers %v as an address", ack.YourIPAddr)
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

// addressClass is the network length of old for a server that names no mask.
func addressClass(a netip.Addr) int {
	switch b := a.As4()[0]; {
	case b < 128:
		return 8
	case b < 192:
		return 16
	}
	return 24
}

// forget takes the address of a lost lease from the host.
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

// keep renews the lease until the host is closed: from half of its time on,
// again and again, and when it has run out or been refused, with a new one.
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
			lease = &nclient4.Lease{Offer: lease.Offer, ACK: lease.ACK} // long past: ask again
			if !d.pause(dhcpPause) {
				return
			}
		}
	}
}

// renew asks for more time until end. It returns nil if the server refuses or
// nobody answers.
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
		// Half of what is left, as RFC 2131 wants it, but no more often than once a minute.
		wait := max(time.Until(end)/2, time.Minute)
		if !d.pause(min(wait, time.Until(end))) {
			return nil
		}
	}
	return nil
}

// pause returns false if the host is closed meanwhile.
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
// because the host has no address yet. Everything is sent to everybody, and
// what comes from a server's port is received.
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

// parseDHCP returns what a DHCP server sent, if packet is that.
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

// buildDHCP puts b in a datagram from no address to all.
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
