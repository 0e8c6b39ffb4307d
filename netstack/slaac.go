// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
)

const (
	// solicitations and solicitInterval are how many router solicitations the host
	// sends when it starts, and the time between them (RFC 4861, section 10).
	solicitations   = 3
	solicitInterval = 4 * time.Second

	// regenerations is how many further addresses the host tries in a prefix, or as
	// its link-local address, if other hosts have the ones before (IDGEN_RETRIES of
	// RFC 7217).
	regenerations = 3

	// maxDNS bounds the name servers that a lease or router advertisements may add to a
	// host.
	maxDNS = 16
)

// An autoconf holds what a host has learned from router advertisements, and the
// results of duplicate address detection. The stack does both (RFC 4861, 4862 and
// 7217): it validates messages, adds and removes addresses, measures lifetimes, and
// keeps at most 10 prefixes, 10 addresses and 10 routes. It reports them by the calls
// of ipv6.NDPDispatcher, in which it is locked. These only record what has changed. A
// goroutine then sets routes and name servers.
type autoconf struct {
	h      *Host
	mode   IPv6Mode
	opaque bool         // interface identifiers by RFC 7217
	fixed  bool         // the configuration has IPv6 addresses
	dhcp   *dhcp6Client // nil without DHCPv6

	ready   chan struct{}  // closed when the host has what NewHost waits for
	failed  chan error     // capacity 1; the link-local address is a duplicate
	worker  sync.WaitGroup // of the goroutines
	adverts atomic.Uint64  // valid router advertisements

	mu        sync.Mutex
	solicits  solicits                  // guarded by mu
	news      chan struct{}             // guarded by mu; closed at the next change
	heard     bool                      // guarded by mu; there was a router advertisement
	generated map[netip.Addr]bool       // guarded by mu; addresses that the stack generated, and whether they are usable
	checks    map[netip.Addr]chan error // guarded by mu; wait for the result for other addresses
	conflicts int                       // guarded by mu; duplicates of link-local addresses
	duplicate netip.Addr                // guarded by mu; the last generated address that another host has
	prefixes  []tcpip.Subnet            // guarded by mu; on-link
	routers   []router                  // guarded by mu; in the order in which they were found
	servers   []nameServer              // guarded by mu; at most maxDNS
	leased    netip.Addr                // guarded by mu; by DHCPv6
	reported  bool                      // guarded by mu; DHCPv6 has a result
	leaseErr  error                     // guarded by mu; why DHCPv6 has no result
}

// A router is a route from a router advertisement. The destination of a default router
// is ::/0.
type router struct {
	destination tcpip.Subnet
	gateway     tcpip.Address
	preference  header.NDPRoutePreference
}

// A nameServer is from a router advertisement (RFC 8106).
type nameServer struct {
	addr    netip.Addr
	forever bool
	end     time.Time // if not forever
}

var _ ipv6.NDPDispatcher = (*autoconf)(nil)

// newAutoconf returns nil if the host neither accepts router advertisements nor detects
// duplicate addresses.
func newAutoconf(h *Host, cfg *HostConfig) *autoconf {
	if !h.hasV6 || cfg.IPv6 == IPv6Static && !cfg.DetectConflicts {
		return nil
	}
	a := &autoconf{
		h:         h,
		mode:      cfg.IPv6,
		opaque:    cfg.IPv6 != IPv6Static && len(cfg.IPv6Secret) > 0,
		fixed:     slices.ContainsFunc(cfg.Addrs, func(p netip.Prefix) bool { return p.Addr().Is6() }),
		ready:     make(chan struct{}),
		failed:    make(chan error, 1),
		news:      make(chan struct{}),
		generated: make(map[netip.Addr]bool),
		checks:    make(map[netip.Addr]chan error),
	}
	if a.mode == IPv6Auto {
		a.dhcp = newDHCP6Client(a, cfg)
	}
	return a
}

// options returns the options of IPv6. Without an autoconf, addresses are usable at
// once, and router advertisements are ignored.
func (a *autoconf) options(cfg *HostConfig, mac frame.MAC) ipv6.Options {
	opts := ipv6.Options{AutoGenLinkLocal: true}
	if a == nil {
		return opts
	}
	opts.NDPDisp = a
	opts.DADConfigs = stack.DADConfigurations{DupAddrDetectTransmits: probeCount, RetransmitTimer: probeInterval}
	if a.mode == IPv6Static {
		return opts
	}
	opts.NDPConfigs = ipv6.NDPConfigurations{
		MaxRtrSolicitations:           solicitations,
		RtrSolicitationInterval:       solicitInterval,
		HandleRAs:                     ipv6.HandlingRAsEnabledWhenForwardingDisabled,
		DiscoverDefaultRouters:        true,
		DiscoverMoreSpecificRoutes:    true,
		DiscoverOnLinkPrefixes:        true,
		AutoGenGlobalAddresses:        true,
		AutoGenAddressConflictRetries: regenerations,
	}
	if a.opaque {
		opts.OpaqueIIDOpts = ipv6.OpaqueInterfaceIdentifierOptions{
			NICNameFromID: func(tcpip.NICID, string) string { return mac.String() },
			SecretKey:     slices.Clone(cfg.IPv6Secret),
		}
	}
	return opts
}

// changed wakes run; a.mu is held.
func (a *autoconf) changed() {
	close(a.news)
	a.news = make(chan struct{})
}

// OnDuplicateAddressDetectionResult implements ipv6.NDPDispatcher. With a result that is
// not named here the address has been removed, or its probe could not be sent.
func (a *autoconf) OnDuplicateAddressDetectionResult(_ tcpip.NICID, addr tcpip.Address, res stack.DADResult) {
	ip := netipAddr(addr)
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	switch res.(type) {
	case *stack.DADSucceeded:
		if _, ok := a.generated[ip]; ok {
			a.generated[ip] = true
			if a.duplicate.IsLinkLocalUnicast() && ip.IsLinkLocalUnicast() {
				a.duplicate = netip.Addr{} // this one replaces it
			}
		}
		a.checkedLocked(ip, nil)
	case *stack.DADDupAddrDetected:
		a.h.conflicts.Add(1)
		err := fmt.Errorf("%v: %w", ip, ErrAddressConflict)
		if !a.checkedLocked(ip, err) {
			a.lostLocked(ip, err)
		}
	default:
		a.checkedLocked(ip, fmt.Errorf("%v: duplicate address detection has been broken off", ip))
	}
}

// checkedLocked reports the result for addr to the one who waits for it, if any.
func (a *autoconf) checkedLocked(addr netip.Addr, err error) bool {
	ch, ok := a.checks[addr]
	if ok {
		ch <- err // takes the only place of ch
		delete(a.checks, addr)
	}
	return ok
}

// lostLocked records that another host has the generated address addr. The stack tries
// another one, up to regenerations times, if identifiers are opaque, and otherwise the
// same with the next router advertisement. It generates a link-local address only once.
func (a *autoconf) lostLocked(addr netip.Addr, err error) {
	a.duplicate = addr
	if !addr.IsLinkLocalUnicast() {
		return
	}
	a.conflicts++
	if a.opaque && a.conflicts <= regenerations {
		return
	}
	select {
	case a.failed <- err:
	default:
	}
}

// uncheck says that nobody waits for the result for addr any more.
func (a *autoconf) uncheck(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.checks, addr)
}

// check returns a channel for the result of duplicate address detection for addr, which
// is about to be added.
func (a *autoconf) check(addr netip.Addr) <-chan error {
	ch := make(chan error, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checks[addr] = ch
	return ch
}

// OnOffLinkRouteUpdated implements ipv6.NDPDispatcher.
func (a *autoconf) OnOffLinkRouteUpdated(_ tcpip.NICID, dst tcpip.Subnet, gw tcpip.Address, preference header.NDPRoutePreference) {
	if id := netipAddr(dst.ID()); id.IsMulticast() || id.IsLinkLocalUnicast() {
		return // of this link only
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	for i, r := range a.routers {
		if r.destination == dst && r.gateway == gw {
			a.routers[i].preference = preference
			return
		}
	}
	a.routers = append(a.routers, router{dst, gw, preference})
}

// OnOffLinkRouteInvalidated implements ipv6.NDPDispatcher.
func (a *autoconf) OnOffLinkRouteInvalidated(_ tcpip.NICID, dst tcpip.Subnet, gw tcpip.Address) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	a.routers = slices.DeleteFunc(a.routers, func(r router) bool { return r.destination == dst && r.gateway == gw })
}

// OnOnLinkPrefixDiscovered implements ipv6.NDPDispatcher.
func (a *autoconf) OnOnLinkPrefixDiscovered(_ tcpip.NICID, prefix tcpip.Subnet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	a.prefixes = append(a.prefixes, prefix)
}

// OnOnLinkPrefixInvalidated implements ipv6.NDPDispatcher.
func (a *autoconf) OnOnLinkPrefixInvalidated(_ tcpip.NICID, prefix tcpip.Subnet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	a.prefixes = slices.DeleteFunc(a.prefixes, func(p tcpip.Subnet) bool { return p == prefix })
}

// OnAutoGenAddress implements ipv6.NDPDispatcher.
func (a *autoconf) OnAutoGenAddress(_ tcpip.NICID, addr tcpip.AddressWithPrefix) stack.AddressDispatcher {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	a.generated[netipAddr(addr.Address)] = false
	return nil
}

// OnAutoGenAddressDeprecated implements ipv6.NDPDispatcher.
func (a *autoconf) OnAutoGenAddressDeprecated(tcpip.NICID, tcpip.AddressWithPrefix) {}

// OnAutoGenAddressInvalidated implements ipv6.NDPDispatcher.
func (a *autoconf) OnAutoGenAddressInvalidated(_ tcpip.NICID, addr tcpip.AddressWithPrefix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	delete(a.generated, netipAddr(addr.Address))
}

// OnRecursiveDNSServerOption implements ipv6.NDPDispatcher. A lifetime of 0 withdraws
// the servers.
func (a *autoconf) OnRecursiveDNSServerOption(_ tcpip.NICID, addrs []tcpip.Address, lifetime time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	for _, addr := range addrs {
		s := nameServer{netipAddr(addr), lifetime >= header.NDPInfiniteLifetime, time.Now().Add(lifetime)}
		i := slices.IndexFunc(a.servers, func(old nameServer) bool { return old.addr == s.addr })
		switch {
		case !s.addr.Is6() || s.addr.IsLoopback():
		case i >= 0 && lifetime == 0:
			a.servers = slices.Delete(a.servers, i, i+1)
		case i >= 0:
			a.servers[i] = s
		case lifetime > 0 && len(a.servers) < maxDNS:
			a.servers = append(a.servers, s)
		}
	}
}

// OnDNSSearchListOption implements ipv6.NDPDispatcher. A Host looks up names as they
// are.
func (a *autoconf) OnDNSSearchListOption(tcpip.NICID, []string, time.Duration) {}

// OnDHCPv6Configuration implements ipv6.NDPDispatcher. The stack calls it for the first
// router advertisement, and for each whose flags differ from those of the one before.
func (a *autoconf) OnDHCPv6Configuration(_ tcpip.NICID, c ipv6.DHCPv6ConfigurationFromNDPRA) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	a.heard = true
	if a.dhcp != nil {
		a.dhcp.flags(c)
	}
}

// setLeased records the address that DHCPv6 has given, or that there is none any more.
func (a *autoconf) setLeased(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	a.leased = addr
}

// report records that DHCPv6 has succeeded, or why it has not yet.
func (a *autoconf) report(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.changed()
	a.reported, a.leaseErr = true, err
}

// until waits until ok, which is called with a.mu held, returns true. It returns false if
// ctx ends before.
func (a *autoconf) until(ctx context.Context, ok func() bool) bool {
	for {
		a.mu.Lock()
		news, done := a.news, ok()
		a.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false
		}
	}
}

// linkLocalLocked returns the link-local address, or none if it is not usable yet.
func (a *autoconf) linkLocalLocked() netip.Addr {
	for addr, usable := range a.generated {
		if usable && addr.IsLinkLocalUnicast() {
			return addr
		}
	}
	return netip.Addr{}
}

// start starts the goroutine that applies what the calls have recorded, and that of
// DHCPv6. The routes that the stack has now are never removed.
func (a *autoconf) start() {
	if a == nil {
		return
	}
	static := a.h.stack.GetRouteTable()
	a.worker.Go(func() { a.run(static) })
	if a.dhcp != nil {
		a.worker.Go(a.dhcp.run)
	}
}

// stop waits for the goroutines. The host has ended.
func (a *autoconf) stop() {
	if a == nil {
		return
	}
	if a.dhcp != nil {
		a.dhcp.stop()
	}
	a.worker.Wait()
}

// run applies what has been learned until the host ends, or if router advertisements
// are ignored, until NewHost need not wait any more.
func (a *autoconf) run(static []tcpip.Route) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var routes []tcpip.Route
	known := make(map[netip.Addr]bool) // addresses that were usable before
	for ready := false; ; {
		a.mu.Lock()
		news := a.news
		now := time.Now()
		a.servers = slices.DeleteFunc(a.servers, func(s nameServer) bool { return !s.forever && !now.Before(s.end) })
		timer.Reset(a.nextExpiryLocked(now))
		old := routes
		routes = a.routesLocked(static)
		dns := a.dnsLocked()
		usable := maps.Clone(a.generated)
		maps.DeleteFunc(usable, func(_ netip.Addr, ok bool) bool { return !ok })
		if a.leased.IsValid() {
			usable[a.leased] = true
		}
		complete := a.completeLocked()
		a.mu.Unlock()

		a.h.setRoutes(old, routes)
		a.h.setDNS(dnsAdvertised, dns)
		for addr := range usable {
			if !known[addr] && ready { // NewHost announces the others
				a.h.announce(addr)
			}
		}
		known = usable
		if complete && !ready {
			ready = true
			close(a.ready)
			if a.mode == IPv6Static {
				return
			}
		}
		select {
		case <-news:
		case <-timer.C:
		case <-a.h.done:
			return
		}
	}
}

// nextExpiryLocked returns the time until the first name server expires.
func (a *autoconf) nextExpiryLocked(now time.Time) time.Duration {
	next := time.Hour
	for _, s := range a.servers {
		if !s.forever {
			next = min(next, s.end.Sub(now))
		}
	}
	return next
}

// routesLocked returns the routes that were learned without those in static. Of routes
// to the same destination the stack uses the first one.
func (a *autoconf) routesLocked(static []tcpip.Route) (routes []tcpip.Route) {
	for _, p := range a.prefixes {
		routes = append(routes, tcpip.Route{Destination: p, NIC: nicID})
	}
	rank := func(r router) int { return slices.Index(preferences[:], r.preference) }
	for _, r := range slices.SortedStableFunc(slices.Values(a.routers), func(x, y router) int { return cmp.Compare(rank(x), rank(y)) }) {
		routes = append(routes, tcpip.Route{Destination: r.destination, Gateway: r.gateway, NIC: nicID})
	}
	return slices.DeleteFunc(routes, func(r tcpip.Route) bool {
		return slices.ContainsFunc(static, func(o tcpip.Route) bool { return sameRoute(r, o) })
	})
}

// preferences are those of RFC 4191, the highest first.
var preferences = [...]header.NDPRoutePreference{header.HighRoutePreference, header.MediumRoutePreference, header.LowRoutePreference}

func (a *autoconf) dnsLocked() (dns []netip.Addr) {
	for _, s := range a.servers {
		dns = append(dns, s.addr)
	}
	return dns
}

// completeLocked reports whether the host has what NewHost waits for.
func (a *autoconf) completeLocked() bool {
	if !a.linkLocalLocked().IsValid() {
		return false
	}
	if a.mode == IPv6Static {
		return true
	}
	if !a.heard || a.dhcp != nil && a.dhcp.other.Err() != nil && !a.reported {
		return false
	}
	global, tentative := a.leased.IsValid(), false
	for addr, usable := range a.generated {
		global = global || usable && !addr.IsLinkLocalUnicast()
		tentative = tentative || !usable
	}
	return global || !tentative && a.fixed
}

// missing says what completeLocked waits for.
func (a *autoconf) missing() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.mode == IPv6Static:
		return errors.New("duplicate address detection has not ended")
	case !a.heard:
		return errors.New("no router advertisement")
	case a.duplicate.IsValid():
		return fmt.Errorf("%v: %w", a.duplicate, ErrAddressConflict)
	case a.dhcp != nil && a.dhcp.managed.Err() != nil:
		return cmp.Or(a.leaseErr, errNoAnswer)
	}
	return errors.New("no router advertises a prefix for addresses")
}

// wait waits until the host has an IPv6 address that is no duplicate.
func (a *autoconf) wait(ctx context.Context, cfg *HostConfig, checks []<-chan error) error {
	if a == nil {
		return nil
	}
	if a.mode != IPv6Static {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.IPv6Timeout)
		defer cancel()
	}
	ready, failed := a.ready, a.failed
	for ready != nil || len(checks) > 0 {
		var check <-chan error
		if len(checks) > 0 {
			check = checks[0]
		}
		select {
		case err := <-check:
			if err != nil {
				return err
			}
			checks = checks[1:]
		case <-ready:
			ready = nil
		case err := <-failed:
			return err
		case <-a.h.done:
			return a.h.Err()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %w", ErrNoIPv6Address, a.missing(), contextError(ctx))
		}
	}
	return nil
}

// solicit asks for router advertisements until there is one: the link is up again, and
// there may be other routers. When the host starts, the stack asks.
func (a *autoconf) solicit() {
	if a == nil || a.mode == IPv6Static {
		return
	}
	a.mu.Lock()
	running := a.solicits.running
	a.solicits = solicits{running: true, left: solicitations, before: a.adverts.Load()}
	a.mu.Unlock()
	if running {
		return // the one that runs begins again
	}
	for a.nextSolicit() {
		_, _ = a.h.ep.Conn().TryWriteBatch([][]byte{routerSolicitation(a.h.MAC())}) // is repeated
		timer := time.NewTimer(solicitInterval)
		select {
		case <-timer.C:
		case <-a.h.done:
			timer.Stop()
			return
		}
	}
}

// solicits is the state of solicit.
type solicits struct {
	running bool
	left    int    // solicitations
	before  uint64 // router advertisements before the link was up
}

// nextSolicit reports whether to send another solicitation.
func (a *autoconf) nextSolicit() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.solicits
	s.running = s.left > 0 && a.adverts.Load() == s.before
	s.left--
	return s.running
}

// routerSolicitation returns a frame to all routers. It has no source address, so the
// answer is for all hosts, whatever the link-local address is.
func routerSolicitation(mac frame.MAC) []byte {
	return ndpFrame(mac, header.IPv6Any, header.IPv6AllRoutersLinkLocalMulticastAddress, header.ICMPv6RouterSolicit,
		header.NDPRSMinimumSize, nil, func([]byte) {})
}
