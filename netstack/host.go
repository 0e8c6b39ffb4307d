// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

const (
	nicID   tcpip.NICID = 1 // the VDE port
	nicName             = "vde0"
)

// A Host is a TCP/IP host on a virtual Ethernet network. It answers ARP requests,
// neighbour solicitations and pings. A dial to one of its addresses, or without an
// address, connects to the host itself. There is no loopback interface, and so no
// 127.0.0.1 and no ::1.
//
// Errors are those of package net: a [*net.OpError] that wraps a syscall.Errno such
// as ECONNREFUSED or EHOSTUNREACH, os.ErrDeadlineExceeded, net.ErrClosed, or the
// error of the context. When the connection to the network ends, all calls fail
// with an error that matches [vde.ErrHangup].
//
// In a bubble of testing/synctest, a Host works with the clock of the bubble, if its
// connection is within the process, as those of Switch.Attach in package vswitch are.
//
// A host announces its addresses when it starts and when it gets a lease (ARP
// announcement, unsolicited neighbour advertisement), so that neighbours that knew
// them at another Ethernet address reach it at once. When another host claims an IPv4
// address of this one, it announces the address again (RFC 5227).
//
// On a connection opened with [vde.WithReconnect], a host survives a restart of the
// switch: when the link is up again, TCP connections continue, and the host announces
// its addresses.
type Host struct {
	stack       *stack.Stack
	ep          *Endpoint
	hasV6       bool
	lookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error)

	listeners listeners
	bubble    *bubble // nil outside of a bubble

	opening sync.RWMutex // held for reading while a socket is opened, for writing when Close begins

	done chan struct{} // closed at the end of the connection, or by Close
	mu   sync.Mutex
	err  error                    // guarded by mu; why done is closed
	dns  [dnsSources][]netip.Addr // guarded by mu
	mtus [mtuSources]uint32       // guarded by mu

	probes    map[netip.Addr]chan<- struct{} // guarded by mu; each receives a value at a conflict
	defended  map[netip.Addr]time.Time       // guarded by mu; when an own address was defended
	conflicts atomic.Uint64                  // see HostStats.AddressConflicts

	dhcp       *dhcpClient
	autoconf   *autoconf      // nil without router advertisements and duplicate address detection
	unwatch    func()         // ends the calls of linkChanged
	probing    sync.WaitGroup // of probeLoop
	announcing sync.WaitGroup // of the goroutines that announce starts
	closeOnce  sync.Once
}

// NewHost is NewHostContext with [context.Background].
func NewHost(c *vde.Conn, cfg HostConfig) (*Host, error) {
	return NewHostContext(context.Background(), c, cfg)
}

// NewHostContext returns a host on c and takes c over. When ctx ends while
// NewHostContext waits for a DHCP lease, for a router, or for the end of probes, it
// returns the error of ctx at once. After that, ctx has no effect on the host. If
// NewHostContext fails, c is still open and the caller's.
func NewHostContext(ctx context.Context, c *vde.Conn, cfg HostConfig) (*Host, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("netstack: %w", err)
	}
	bubble, err := newBubble(c)
	if err != nil {
		return nil, fmt.Errorf("netstack: %w", err)
	}
	h := &Host{
		hasV6:       cfg.hasV6(),
		lookupNetIP: cfg.LookupNetIP,
		bubble:      bubble,
		done:        make(chan struct{}),
		probes:      make(map[netip.Addr]chan<- struct{}),
		defended:    make(map[netip.Addr]time.Time),
	}
	ep, err := NewEndpoint(c, EndpointConfig{
		MAC:         cfg.MAC,
		MTU:         cfg.MTU,
		Promiscuous: cfg.Promiscuous,
		Policy:      cfg.Policy,
		Queue:       cfg.Queue,
		Processors:  cfg.Processors,
		NoOffload:   cfg.NoOffload,
		NoChecksums: cfg.NoChecksums,
		GRO:         !cfg.NoGRO,
		OnEnd:       h.end,
	})
	if err != nil {
		return nil, err
	}
	h.ep = ep
	h.unwatch = func() {}
	if err := h.start(ctx, &cfg); err != nil {
		h.close(true)
		return nil, fmt.Errorf("netstack: %w", err)
	}
	h.unwatch = c.OnLinkChange(h.linkChanged)
	h.announce(h.ownAddrs()...)
	return h, nil
}

// start makes the stack of the host, and waits for its addresses.
func (h *Host) start(ctx context.Context, cfg *HostConfig) error {
	h.setDNS(dnsConfigured, cfg.DNS)
	for i := range h.mtus {
		h.mtus[i] = h.ep.MTU()
	}
	h.autoconf = newAutoconf(h, cfg)
	var v6 *ipv6.Options
	if h.hasV6 {
		opts := h.autoconf.options(cfg, h.MAC())
		v6 = &opts
	}
	h.stack = newStack(cfg, v6, h.newARP, h.bubble.clock())
	if h.bubble != nil {
		h.ep.delivered = h.bubble.wake
		h.bubble.start(h.stack)
	}
	h.ep.paths = &pathMTUs{stack: h.stack}
	if cfg.IPv6 != IPv6Static {
		h.ep.paths.autoconf = h.autoconf
	}
	checks, err := h.configure(ctx, cfg)
	if err != nil {
		return err
	}
	h.autoconf.start()
	if cfg.DHCP {
		if err := h.startDHCP(ctx, cfg); err != nil {
			return err
		}
	}
	return h.autoconf.wait(ctx, cfg, checks)
}

// end is called when the connection has ended and by Close.
func (h *Host) end(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = cause
		close(h.done)
	}
}

// Err returns nil while the host is on the network, and then the reason for its end:
// [vde.ErrHangup] if the connection has ended, net.ErrClosed after Close.
func (h *Host) Err() error {
	if !isDone(h.done) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Stack returns the stack of the host for further configuration. NIC 1 is the VDE
// port.
func (h *Host) Stack() *stack.Stack { return h.stack }

// Endpoint returns the link endpoint of the host.
func (h *Host) Endpoint() *Endpoint { return h.ep }

// MAC returns the Ethernet address of the host.
func (h *Host) MAC() frame.MAC { return h.ep.MAC() }

// Addrs returns the addresses of the host: those of the configuration, of DHCP leases
// and of router advertisements, and the link-local address of IPv6. It does not
// return an address while the host detects whether it is a duplicate.
func (h *Host) Addrs() []netip.Prefix {
	var addrs []netip.Prefix
	for _, a := range h.stack.NICInfo()[nicID].ProtocolAddresses {
		addrs = append(addrs, netip.PrefixFrom(netipAddr(a.AddressWithPrefix.Address), a.AddressWithPrefix.PrefixLen))
	}
	return addrs
}

// The sources of name servers, in the order of DNS.
const (
	dnsConfigured = iota
	dnsLeased     // by DHCP
	dnsLeased6    // by DHCPv6
	dnsAdvertised // by routers
	dnsSources
)

// DNS returns the name servers of the configuration, of DHCP, of DHCPv6, and of router
// advertisements, in this order.
func (h *Host) DNS() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []netip.Addr
	for _, dns := range h.dns {
		for _, a := range dns {
			if !slices.Contains(all, a) {
				all = append(all, a)
			}
		}
	}
	return all
}

// setDNS replaces the name servers of one source.
func (h *Host) setDNS(source int, dns []netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dns[source] = slices.Clone(dns)
}

// The sources that can reduce the MTU.
const (
	mtuLeased     = iota // by DHCP
	mtuAdvertised        // by routers
	mtuSources
)

// limitMTU replaces the MTU of one source. The host uses the least one.
func (h *Host) limitMTU(source int, mtu uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mtus[source] = mtu
	h.ep.SetMTU(slices.Min(h.mtus[:]))
}

// HostStats are the counters of a host since NewHost.
type HostStats struct {
	Endpoint EndpointStats

	// AddressConflicts counts ARP packets in which another host claims an address of
	// this one, and IPv6 addresses that duplicate address detection has refused.
	AddressConflicts uint64

	RouterAdvertisements uint64 // valid ones; 0 if the host ignores them

	TCPSegmentsSent     uint64 // without retransmissions
	TCPSegmentsReceived uint64 // valid segments
	TCPRetransmits      uint64 // segments retransmitted
	TCPTimeouts         uint64 // retransmission timeouts
}

// Stats returns the counters. Reading changes nothing.
func (h *Host) Stats() HostStats {
	t := h.stack.Stats().TCP
	s := HostStats{
		Endpoint:            h.ep.Stats(),
		AddressConflicts:    h.conflicts.Load(),
		TCPSegmentsSent:     t.SegmentsSent.Value(),
		TCPSegmentsReceived: t.ValidSegmentsReceived.Value(),
		TCPRetransmits:      t.Retransmits.Value(),
		TCPTimeouts:         t.Timeouts.Value(),
	}
	if h.autoconf != nil {
		s.RouterAdvertisements = h.autoconf.adverts.Load()
	}
	return s
}

// DialContext connects to address, as [net.Dialer.DialContext] does. The network is
// "tcp" or "udp", with "4" or "6" appended to choose a family. The result is a
// [*TCPConn] or a [*UDPConn]. If a name has several addresses, DialContext tries the
// next one when one has failed or not answered for a quarter of a second, and both
// families in turn (RFC 8305). When ctx ends, DialContext returns at once; once
// connected, ctx has no effect on the connection.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return h.DialFrom(ctx, network, netip.AddrPort{}, address)
}

// DialFrom is DialContext from a local address and port. If local has no address, or an
// unspecified one, it gives the port only; if its port is 0, it gives the address only.
// It tries only addresses of the family of the local address.
func (h *Host) DialFrom(ctx context.Context, network string, local netip.AddrPort, address string) (net.Conn, error) {
	return (&Dialer{Host: h, LocalAddr: local}).DialContext(ctx, network, address)
}

// Dial is DialContext with [context.Background].
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

// Listen listens for TCP connections on address, as [net.Listen] does. The network
// is "tcp", "tcp4" or "tcp6". Without a host in address, or with an unspecified one
// such as [::], it listens on all addresses of the Host that the network allows. The
// result is a [*TCPListener].
func (h *Host) Listen(network, address string) (net.Listener, error) {
	return (&ListenConfig{Host: h}).Listen(context.Background(), network, address)
}

// ListenPacket opens a UDP socket on address, as [net.ListenPacket] does. The
// network is "udp", "udp4" or "udp6". The result is a [*UDPConn].
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	return (&ListenConfig{Host: h}).ListenPacket(context.Background(), network, address)
}

func (h *Host) listenAddr(ctx context.Context, network, proto, address string) (networkName, netip.AddrPort, error) {
	name, addrs, port, err := h.resolve(ctx, network, address)
	switch {
	case err != nil:
		return name, netip.AddrPort{}, err
	case name.proto != proto:
		return name, netip.AddrPort{}, unknownNetwork(network)
	}
	return name, netip.AddrPortFrom(addrs[0], port), nil
}

// bound initializes s as a socket that open has bound to ap, after control. Its family
// is that of ap or of the network, and both if the network has none and the address is
// missing or unspecified.
func (h *Host) bound(s *socket, network string, proto tcpip.TransportProtocolNumber, name networkName, ap netip.AddrPort, control controlFunc, open func(tcpip.Endpoint, tcpip.FullAddress) error) error {
	a := ap.Addr()
	any := !a.IsValid() || a.IsUnspecified()
	v6 := name.v6 && h.hasV6 && (any || a.Is6())
	if !v6 && (!name.v4 || a.Is6()) {
		return errno("bind", &tcpip.ErrAddressFamilyNotSupported{})
	}
	number := ipv4.ProtocolNumber
	if v6 {
		number = ipv6.ProtocolNumber
	}
	full := fullAddress(ap)
	if any {
		full.Addr = tcpip.Address{}
	}
	ep, wq, err := h.newEndpoint(proto, number)
	if err != nil {
		return err
	}
	if v6 {
		ep.SocketOptions().SetV6Only(!any || !name.v4)
	}
	if err := control.call(name.proto, v6, ap, ep); err != nil {
		ep.Close()
		return err
	}
	h.opening.RLock()
	defer h.opening.RUnlock()
	if err := h.Err(); err != nil {
		ep.Close()
		return err
	}
	if err := open(ep, full); err != nil {
		ep.Close()
		return err
	}
	s.init(h, network, ep, wq, v6)
	return nil
}

// newEndpoint returns a new transport endpoint of the stack.
func (h *Host) newEndpoint(transport tcpip.TransportProtocolNumber, network tcpip.NetworkProtocolNumber) (tcpip.Endpoint, *waiter.Queue, error) {
	wq := new(waiter.Queue)
	ep, err := h.stack.NewEndpoint(transport, network, wq)
	if err != nil {
		return nil, nil, errno("socket", err)
	}
	if transport != tcp.ProtocolNumber {
		// Otherwise all IPv4 datagrams would have the identifier 0, also those of
		// more than one fragment, and none would reach the end of a path with a
		// lesser MTU. It fails for no datagram socket.
		_ = ep.SetSockOptInt(tcpip.MTUDiscoverOption, int(tcpip.PMTUDiscoveryDont))
	}
	return ep, wq, nil
}

// Shutdown waits until the peers have acknowledged all data that was written to TCP
// connections before they were closed, or until ctx ends. A call of Close after it
// loses no data. Shutdown itself closes nothing.
func (h *Host) Shutdown(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for h.unsent() {
		select {
		case <-tick.C:
		case <-h.done:
			return h.Err()
		case <-ctx.Done():
			return contextError(ctx)
		}
	}
	return nil
}

// unsent reports whether a closed connection still waits for the acknowledgement of
// its data or its FIN. The stack has no event for that.
func (h *Host) unsent() bool {
	for _, list := range [][]stack.TransportEndpoint{h.stack.RegisteredEndpoints(), h.stack.CleanupEndpoints()} {
		for _, ep := range list {
			if t, ok := ep.(*tcp.Endpoint); ok {
				switch tcp.EndpointState(t.State()) {
				case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
					return true
				}
			}
		}
	}
	return false
}

// Close resets all TCP connections, closes the connection to the network, and waits
// until all goroutines of the host have ended. Calls that wait return an error that
// matches net.ErrClosed. Calls of Close after the first return nil.
func (h *Host) Close() error {
	h.close(false)
	return nil
}

// close is Close, but leaves the connection open if keep is set.
func (h *Host) close(keep bool) {
	h.closeOnce.Do(func() {
		h.opening.Lock()
		h.end(net.ErrClosed)
		h.opening.Unlock()
		h.unwatch()
		h.probing.Wait()
		if h.dhcp != nil {
			h.dhcp.stop()
		}
		h.autoconf.stop()
		h.announcing.Wait() // after those that announce addresses
		h.bubble.stop()
		h.stack.Close()
		h.ep.tx.drain()  // sends the resets
		h.ep.close(keep) // before Wait of the stack, which holds a lock that a delivery may need
		h.stack.Wait()
	})
}
