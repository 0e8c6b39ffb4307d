// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

const (
	nicID   tcpip.NICID = 1 // the VDE port
	nicName             = "vde0"
)

// A HostConfig describes a [Host]. It needs Addrs or DHCP; everything else has a
// default.
type HostConfig struct {
	// Addrs are the host's addresses with the lengths of their networks, as
	// in 10.0.0.2/24 or fd00::2/64. The first of a family is the one it uses by
	// default. A host without an IPv6 address does not speak IPv6.
	Addrs []netip.Prefix

	// Gateway and Gateway6 are the next hops for everything else, of IPv4 and
	// IPv6; an IPv6 address in Gateway is the latter. Without one,
	// other networks are unreachable.
	Gateway, Gateway6 netip.Addr

	// DHCP asks for an IPv4 address, gateway and name servers, besides those
	// given here, and renews the lease as long as the host lives. On Linux
	// only; elsewhere NewHost fails with errors.ErrUnsupported.
	DHCP bool

	// DHCPTimeout bounds how long NewHost waits for a lease (default 15
	// seconds).
	DHCPTimeout time.Duration

	// LookupNetIP finds the addresses of a name; network is "ip", "ip4" or
	// "ip6". To use the machine's resolver, give it net.DefaultResolver's method
	// of this name. Without it, the servers in DNS are asked, and those DHCP told.
	LookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error)

	// DNS are name servers, asked through the host itself.
	DNS []netip.Addr

	// These are passed to the endpoint; see EndpointConfig.
	MTU         int
	MAC         frame.MAC
	Promiscuous bool
	Full        FullPolicy
	Queue       int
	Processors  int
	NoOffload   bool
	NoChecksums bool

	// NoCoalesce turns EndpointConfig.Coalesce off, for a Host whose stack is
	// made to forward packets.
	NoCoalesce bool

	// Congestion is TCP's congestion control, "reno" (the default) or "cubic".
	// On a network that loses nothing they are alike; at 1 % loss and 20 ms each
	// way, gVisor's reno is the faster, by half at least.
	Congestion string

	// MaxRTO bounds how long TCP waits before it sends again what has not been
	// acknowledged (default 2 seconds). It is what bounds how long a transfer
	// stands still after the switch has died and come back: see
	// [vde.WithReconnect]. It must be longer than any round trip. Connections
	// are given up after the same quarter of an hour whatever it is.
	MaxRTO time.Duration

	// SendBuffer and ReceiveBuffer are the bytes up to which the buffers of a
	// TCP connection grow by themselves (default 4 MiB).
	SendBuffer, ReceiveBuffer int
}

const (
	defaultDHCPTimeout = 15 * time.Second
	defaultTCPBuffer   = 4 << 20
	defaultCongestion  = "reno"
	defaultMaxRTO      = 2 * time.Second

	// tcpPatience is how long TCP sends the same again before it gives up, as
	// it is with the defaults of gVisor and of Linux.
	tcpPatience = 15 * time.Minute
)

// A Host is a TCP/IP host on a virtual Ethernet. It answers ARP, neighbour
// discovery and pings by itself. Its own addresses, or none in what is dialled,
// reach the host itself; there is no 127.0.0.1 and no ::1.
//
// Errors are those of package net: [*net.OpError], with a syscall.Errno such as
// ECONNREFUSED or EHOSTUNREACH, os.ErrDeadlineExceeded, net.ErrClosed, or the
// context's error inside. When the connection to the network ends, everything
// fails with an error that matches [vde.ErrHangup].
//
// On a connection opened with [vde.WithReconnect] a host outlives the switch:
// TCP connections go on when the link is up again, and the host announces its
// addresses (ARP announcement, unsolicited neighbour advertisement).
type Host struct {
	stack       *stack.Stack
	ep          *Endpoint
	hasV6       bool
	lookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error)

	opening sync.RWMutex // held for reading while an endpoint starts, for writing when Close begins

	done chan struct{} // closed at the end of the connection, or by Close
	mu   sync.Mutex
	err  error        // guarded by mu: why done is closed
	dns  []netip.Addr // guarded by mu

	dhcp      *dhcpClient
	unwatch   func() // ends linkChanged
	repeating sync.WaitGroup
	closeOnce sync.Once
}

// NewHost makes c's port of the network a host's and takes c over, unless it
// fails; then c is open and the caller's, provided that DHCP was not asked for.
func NewHost(c *vde.Conn, cfg HostConfig) (*Host, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("netstack: %w", err)
	}
	h := &Host{
		hasV6:       cfg.hasV6(),
		lookupNetIP: cfg.LookupNetIP,
		done:        make(chan struct{}),
		dns:         slices.Clone(cfg.DNS),
	}
	ep, err := NewEndpoint(c, EndpointConfig{
		MAC:         cfg.MAC,
		MTU:         cfg.MTU,
		Promiscuous: cfg.Promiscuous,
		Full:        cfg.Full,
		Queue:       cfg.Queue,
		Processors:  cfg.Processors,
		NoOffload:   cfg.NoOffload,
		NoChecksums: cfg.NoChecksums,
		Coalesce:    !cfg.NoCoalesce,
		OnEnd:       h.end,
	})
	if err != nil {
		return nil, err
	}
	h.ep = ep
	h.stack = newStack(&cfg, h.hasV6)
	h.unwatch = func() {}
	if err := h.configure(&cfg); err != nil {
		h.Close()
		return nil, fmt.Errorf("netstack: %w", err)
	}
	if cfg.DHCP {
		if err := h.startDHCP(cfg.DHCPTimeout); err != nil {
			h.Close()
			return nil, fmt.Errorf("netstack: DHCP: %w", err)
		}
	}
	h.unwatch = c.OnLinkChange(h.linkChanged)
	return h, nil
}

// check validates the configuration and sets defaults.
func (cfg *HostConfig) check() error {
	if len(cfg.Addrs) == 0 && !cfg.DHCP {
		return errors.New("a host needs an address: Addrs or DHCP")
	}
	if cfg.Gateway.Is6() && !cfg.Gateway.Is4In6() {
		if cfg.Gateway6.IsValid() {
			return errors.New("two gateways for IPv6")
		}
		cfg.Gateway, cfg.Gateway6 = netip.Addr{}, cfg.Gateway
	}
	seen := make(map[netip.Addr]bool)
	for _, p := range cfg.Addrs {
		a := p.Addr()
		switch {
		case !p.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a.IsLoopback():
			return fmt.Errorf("%v is not a host's address", p)
		case seen[a]:
			return fmt.Errorf("%v is there twice", a)
		}
		seen[a] = true
	}
	for _, gw := range []netip.Addr{cfg.Gateway, cfg.Gateway6} {
		if !gw.IsValid() {
			continue
		}
		if seen[gw] {
			return fmt.Errorf("gateway %v is this host", gw)
		}
		if !gw.IsLinkLocalUnicast() && !slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Contains(gw) }) {
			return fmt.Errorf("gateway %v is on no network of this host", gw)
		}
	}
	if cfg.Gateway6.IsValid() && !cfg.Gateway6.Is6() || cfg.Gateway6.IsValid() && !cfg.hasV6() {
		return fmt.Errorf("gateway %v: the host has no IPv6 address", cfg.Gateway6)
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.hasV6() && cfg.MTU < header.IPv6MinimumMTU {
		return fmt.Errorf("MTU %d: IPv6 needs %d", cfg.MTU, header.IPv6MinimumMTU)
	}
	if cfg.Congestion == "" {
		cfg.Congestion = defaultCongestion
	}
	if cfg.Congestion != "reno" && cfg.Congestion != "cubic" {
		return fmt.Errorf("congestion control %q is neither reno nor cubic", cfg.Congestion)
	}
	if cfg.SendBuffer == 0 {
		cfg.SendBuffer = defaultTCPBuffer
	}
	if cfg.ReceiveBuffer == 0 {
		cfg.ReceiveBuffer = defaultTCPBuffer
	}
	if cfg.SendBuffer < tcp.MinBufferSize || cfg.ReceiveBuffer < tcp.MinBufferSize {
		return fmt.Errorf("TCP buffers of less than %d bytes", tcp.MinBufferSize)
	}
	if cfg.MaxRTO == 0 {
		cfg.MaxRTO = defaultMaxRTO
	}
	if cfg.MaxRTO < tcp.MinRTO || cfg.MaxRTO > tcp.MaxRTO {
		return fmt.Errorf("MaxRTO %v is not between %v and %v", cfg.MaxRTO, tcp.MinRTO, tcp.MaxRTO)
	}
	if cfg.DHCPTimeout <= 0 {
		cfg.DHCPTimeout = defaultDHCPTimeout
	}
	return nil
}

func (cfg *HostConfig) hasV6() bool {
	return slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() })
}

// newStack makes the stack, without interfaces. What it needs of randomness
// (sequence numbers, ports, identifiers) comes from crypto/rand.
func newStack(cfg *HostConfig, v6 bool) *stack.Stack {
	opts := stack.Options{
		NetworkProtocols:         []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols:       []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4},
		HandleLocal:              true,
		AllowPacketEndpointWrite: cfg.DHCP,
	}
	if v6 {
		opts.NetworkProtocols = append(opts.NetworkProtocols, ipv6.NewProtocolWithOptions(ipv6.Options{
			AutoGenLinkLocal: true,
			// No duplicate address detection: addresses are the
			// configuration's business, and usable at once. No router
			// advertisements: whoever is on the network could send them.
			DADConfigs: stack.DADConfigurations{DupAddrDetectTransmits: 0},
			NDPConfigs: ipv6.NDPConfigurations{HandleRAs: ipv6.HandlingRAsDisabled},
		}))
		opts.TransportProtocols = append(opts.TransportProtocols, icmp.NewProtocol6)
	}
	s := stack.New(opts)
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(true)
	cc := tcpip.CongestionControlOption(cfg.Congestion)
	// RACK stays off. In this release of gVisor it takes what came late for lost
	// and, after a timeout, enters a recovery that counts everything lost as on
	// its way: two segments for each further timeout. A burst dropped by a switch
	// with full queues costs seconds then. docs/netstack.md has the figures.
	recovery := tcpip.TCPRecovery(0)
	// A switch that dies takes with it all that is under way. If that was as much
	// as the window allows, nothing new can tell the receiver that something is
	// missing, and only the timer helps. This release of gVisor answers what
	// fills the gap with the timestamp of before it, so the sender takes the whole
	// standstill for a round trip, and the timer grows by every death: fifty in a
	// row made it minutes.
	maxRTO := tcpip.TCPMaxRTOOption(cfg.MaxRTO)
	retries := tcpip.TCPMaxRetriesOption(max(tcp.MaxRetries, tcpPatience/cfg.MaxRTO))
	for _, opt := range []tcpip.SettableTransportProtocolOption{
		&sack,
		&moderate,
		&cc,
		&recovery,
		&maxRTO,
		&retries,
		&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: min(cfg.SendBuffer, tcp.DefaultSendBufferSize), Max: cfg.SendBuffer},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: min(cfg.ReceiveBuffer, tcp.DefaultReceiveBufferSize), Max: cfg.ReceiveBuffer},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			panic(fmt.Sprintf("netstack: %T: %v", opt, err)) // check let nothing through that is out of range
		}
	}
	return s
}

// configure makes the interface and gives it addresses and routes.
func (h *Host) configure(cfg *HostConfig) error {
	if err := h.stack.CreateNICWithOptions(nicID, h.ep, stack.NICOptions{Name: nicName}); err != nil {
		return errors.New(err.String())
	}
	h.stack.AddRoute(tcpip.Route{Destination: header.IPv4Broadcast.WithPrefix().Subnet(), NIC: nicID})
	multicast := []string{"224.0.0.0/4"}
	if h.hasV6 {
		multicast = append(multicast, "ff00::/8", "fe80::/64")
	}
	for _, m := range multicast {
		h.stack.AddRoute(tcpip.Route{Destination: subnet(netip.MustParsePrefix(m)), NIC: nicID})
	}
	for _, p := range cfg.Addrs {
		if err := h.addAddr(p); err != nil {
			return err
		}
	}
	for _, gw := range []netip.Addr{cfg.Gateway, cfg.Gateway6} {
		if gw.IsValid() {
			h.stack.AddRoute(defaultRoute(gw))
		}
	}
	return nil
}

// addAddr adds an address and the route to its network.
func (h *Host) addAddr(p netip.Prefix) error {
	err := h.stack.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol:          protocolOf(p.Addr()),
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address(p.Addr().WithZone("")), PrefixLen: p.Bits()},
	}, stack.AddressProperties{})
	if err != nil {
		return fmt.Errorf("address %v: %s", p, err)
	}
	h.stack.AddRoute(tcpip.Route{Destination: subnet(p), NIC: nicID})
	return nil
}

// removeAddr takes back what addAddr did on the VDE port.
func (h *Host) removeAddr(p netip.Prefix) {
	h.stack.RemoveAddress(nicID, address(p.Addr())) // fails if the stack was closed meanwhile
	gone := tcpip.Route{Destination: subnet(p), NIC: nicID}
	h.stack.RemoveRoutes(func(r tcpip.Route) bool { return r.Equal(gone) })
}

func subnet(p netip.Prefix) tcpip.Subnet {
	return tcpip.AddressWithPrefix{Address: address(p.Masked().Addr().WithZone("")), PrefixLen: p.Bits()}.Subnet()
}

func defaultRoute(gw netip.Addr) tcpip.Route {
	dst := header.IPv4EmptySubnet
	if gw.Is6() {
		dst = header.IPv6EmptySubnet
	}
	return tcpip.Route{Destination: dst, Gateway: address(gw.WithZone("")), NIC: nicID}
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

// Err returns nil while the host is on the network and then why it is not any
// more: [vde.ErrHangup], or net.ErrClosed after Close.
func (h *Host) Err() error {
	if !isDone(h.done) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Stack returns the host's stack, to be configured further. Its NIC 1 is the VDE
// port.
func (h *Host) Stack() *stack.Stack { return h.stack }

// Endpoint returns the host's link endpoint.
func (h *Host) Endpoint() *Endpoint { return h.ep }

// MAC returns the host's Ethernet address.
func (h *Host) MAC() frame.MAC { return h.ep.MAC() }

// Addrs returns the addresses that the configuration or DHCP gave the host, and
// the link-local one of IPv6.
func (h *Host) Addrs() []netip.Prefix {
	var addrs []netip.Prefix
	for _, a := range h.stack.NICInfo()[nicID].ProtocolAddresses {
		addrs = append(addrs, netip.PrefixFrom(netipAddr(a.AddressWithPrefix.Address), a.AddressWithPrefix.PrefixLen))
	}
	return addrs
}

// DNS returns the name servers known.
func (h *Host) DNS() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.dns)
}

// HostStats counts since NewHost.
type HostStats struct {
	Endpoint EndpointStats

	TCPSegmentsSent     uint64 // retransmissions not included
	TCPSegmentsReceived uint64 // valid ones
	TCPRetransmits      uint64 // segments sent again
	TCPTimeouts         uint64 // retransmission timers that fired
}

// Stats returns the counters. Reading changes nothing.
func (h *Host) Stats() HostStats {
	t := h.stack.Stats().TCP
	return HostStats{
		Endpoint:            h.ep.Stats(),
		TCPSegmentsSent:     t.SegmentsSent.Value(),
		TCPSegmentsReceived: t.ValidSegmentsReceived.Value(),
		TCPRetransmits:      t.Retransmits.Value(),
		TCPTimeouts:         t.Timeouts.Value(),
	}
}

// DialContext connects to address, as [net.Dialer.DialContext] does. The
// network is "tcp" or "udp", with "4" or "6" appended to choose a family. The
// result is a [*TCPConn] or a [*UDPConn]. ctx bounds connecting only, and its
// end is obeyed at once.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, to, err := h.dial(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: to, Err: err}
	}
	return conn, nil
}

// Dial is DialContext without a bound.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

func (h *Host) dial(ctx context.Context, network, address string) (net.Conn, net.Addr, error) {
	if err := h.Err(); err != nil {
		return nil, nil, err
	}
	if ctx.Err() != nil {
		return nil, nil, contextError(ctx)
	}
	name, addrs, port, err := h.resolve(ctx, network, address)
	if err != nil {
		return nil, nil, err
	}
	var first error
	var to, firstTo net.Addr
	for i, a := range addrs {
		if !a.IsValid() || a.IsUnspecified() {
			if a = h.self(name); !a.IsValid() {
				return nil, nil, errno("connect", &tcpip.ErrNetworkUnreachable{})
			}
		}
		ap := netip.AddrPortFrom(a, port)
		to = netAddr(name.proto, ap, false)
		var conn net.Conn
		conn, err = h.dialOne(ctx, network, name, ap, len(addrs)-i)
		if err == nil {
			return conn, nil, nil
		}
		if first == nil {
			first, firstTo = err, to
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, firstTo, first
}

// self returns the first address of the host's own that will do.
func (h *Host) self(name networkName) netip.Addr {
	for _, p := range h.Addrs() {
		if name.wants(p.Addr()) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// dialOne connects to ap. With left addresses to try, itself included, it takes
// its share of the time that ctx leaves.
func (h *Host) dialOne(ctx context.Context, network string, name networkName, ap netip.AddrPort, left int) (net.Conn, error) {
	if ap.Addr().Is6() && !h.hasV6 {
		return nil, errno("connect", &tcpip.ErrNetworkUnreachable{})
	}
	// The functions below return nil pointers of their own types with an
	// error, which as a net.Conn would not be nil.
	if name.proto == "udp" {
		conn, err := h.dialUDP(network, ap)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	conn, err := h.dialTCP(ctx, network, ap)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Listen accepts TCP connections on address, as [net.Listen] does; the network
// is "tcp", "tcp4" or "tcp6". Without a host in address, it listens on all of
// the host's addresses.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	name, ap, err := h.listenAddr(network, "tcp", address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	l, err := h.listenTCP(network, name, ap)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// ListenPacket opens a UDP socket on address, as [net.ListenPacket] does; the
// network is "udp", "udp4" or "udp6". The result is a [*UDPConn].
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	name, ap, err := h.listenAddr(network, "udp", address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	c, err := h.listenUDP(network, name, ap)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (h *Host) listenAddr(network, proto, address string) (networkName, netip.AddrPort, error) {
	name, addrs, port, err := h.resolve(context.Background(), network, address)
	switch {
	case err != nil:
		return name, netip.AddrPort{}, err
	case name.proto != proto:
		return name, netip.AddrPort{}, unknownNetwork(network)
	}
	return name, netip.AddrPortFrom(addrs[0], port), nil
}

// bound makes s a socket that open has bound to ap, of the family that ap or
// the network asks for; without an address and a choice, of both.
func (h *Host) bound(s *socket, proto tcpip.TransportProtocolNumber, name networkName, ap netip.AddrPort, open func(tcpip.Endpoint, tcpip.FullAddress) error) error {
	a := ap.Addr()
	any := !a.IsValid() || a.IsUnspecified()
	v6 := name.v6 && h.hasV6 && (!a.IsValid() || a.Is6())
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
		ep.SocketOptions().SetV6Only(!any || !name.v4 || a.IsValid())
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
	s.init(h, ep, wq, v6)
	return nil
}

// newEndpoint makes an endpoint of the stack.
func (h *Host) newEndpoint(transport tcpip.TransportProtocolNumber, network tcpip.NetworkProtocolNumber) (tcpip.Endpoint, *waiter.Queue, error) {
	wq := new(waiter.Queue)
	ep, err := h.stack.NewEndpoint(transport, network, wq)
	if err != nil {
		return nil, nil, errno("socket", err)
	}
	return ep, wq, nil
}

// Shutdown waits until everything written to TCP connections that have been
// closed has been acknowledged by the peers, or ctx ends; it changes nothing.
// Close after it loses no data.
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

// unsent reports whether a closed connection still has something to send, its
// farewell at least. The stack has no event for that.
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

// Close takes the host off the network: TCP connections are reset, calls that
// wait return an error that matches net.ErrClosed, and the connection is
// closed. It waits until all goroutines have ended. Calls after the first
// return nil.
func (h *Host) Close() error {
	h.closeOnce.Do(func() {
		h.opening.Lock()
		h.end(net.ErrClosed)
		h.opening.Unlock()
		h.unwatch()
		h.repeating.Wait()
		if h.dhcp != nil {
			h.dhcp.stop()
		}
		h.stack.Close()
		h.ep.tx.drain() // the resets
		h.ep.Close()    // before the stack's Wait, which holds a lock that a delivery may need
		h.stack.Wait()
	})
	return nil
}
