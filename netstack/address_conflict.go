// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
)

const (
	// probeCount and probeInterval are how many probes are sent for an address, and
	// how long the host waits for an answer after each. RFC 5227, section 1.1, waits
	// a second or two, because a port of a hardware switch may take that long to
	// forward. A port of a virtual switch forwards at once.
	probeCount    = 3
	probeInterval = 100 * time.Millisecond

	// defendInterval is the least time between two announcements of an address that
	// another host claims (RFC 5227, section 1.1).
	defendInterval = 10 * time.Second
)

// An arpProtocol is gVisor's ARP with what RFC 826 and RFC 5227 add: the cache follows
// each packet whose sender it knows, and conflicts of addresses are noticed.
type arpProtocol struct {
	stack.NetworkProtocol
	h *Host
}

func (h *Host) newARP(s *stack.Stack) stack.NetworkProtocol {
	return &arpProtocol{arp.NewProtocol(s), h}
}

// NewEndpoint implements stack.NetworkProtocol.
func (p *arpProtocol) NewEndpoint(nic stack.NetworkInterface, d stack.TransportDispatcher) stack.NetworkEndpoint {
	return &arpEndpoint{p.NetworkProtocol.NewEndpoint(nic, d).(resolver), nic, p.h}
}

// A resolver has the methods of gVisor's ARP endpoint that the stack uses.
type resolver interface {
	stack.NetworkEndpoint
	stack.LinkAddressResolver
	stack.DuplicateAddressDetector
}

// An arpEndpoint is the endpoint of an arpProtocol.
type arpEndpoint struct {
	resolver
	nic stack.NetworkInterface
	h   *Host
}

// HandlePacket implements stack.NetworkEndpoint.
func (e *arpEndpoint) HandlePacket(pkt *stack.PacketBuffer) {
	if b, ok := pkt.Data().PullUp(header.ARPSize); ok && header.ARP(b).IsValid() {
		e.inspect(header.ARP(b))
	}
	e.resolver.HandlePacket(pkt)
}

// inspect updates the entry of the sender of p, if there is one, and looks for a
// conflict. gVisor ignores announcements: it updates entries from the replies to its
// requests, and from requests for an address of the host.
func (e *arpEndpoint) inspect(p header.ARP) {
	mac, _ := frame.MACFrom(p.HardwareAddressSender())
	if mac == e.h.MAC() || mac.IsGroup() || mac == (frame.MAC{}) {
		return
	}
	sender := tcpip.AddrFrom4Slice(p.ProtocolAddressSender())
	claimed := netipAddr(sender)
	if sender == header.IPv4Any { // the sender probes for the target
		claimed = netipAddr(tcpip.AddrFrom4Slice(p.ProtocolAddressTarget()))
	}
	if e.h.conflict(claimed) || sender == header.IPv4Any {
		return
	}
	if e.nic.CheckLocalAddress(header.IPv4ProtocolNumber, sender) {
		e.h.defend(claimed)
		return
	}
	// An error would mean that the interface resolves no addresses, which it does.
	_ = e.nic.HandleNeighborConfirmation(header.IPv4ProtocolNumber, sender, tcpip.LinkAddress(mac[:]),
		stack.ReachabilityConfirmationFlags{Override: true})
}

// conflict ends the probe for a, if there is one.
func (h *Host) conflict(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	lost, ok := h.probes[a]
	if ok {
		select {
		case lost <- struct{}{}:
		default:
		}
	}
	return ok
}

// defend announces a, which another host has claimed, unless that was done a short
// while ago. The host never gives the address up: any host of the network could
// otherwise take its addresses away.
func (h *Host) defend(a netip.Addr) {
	h.conflicts.Add(1)
	now := time.Now()
	h.mu.Lock()
	last, ok := h.defended[a]
	due := !ok || now.Sub(last) >= defendInterval
	if due {
		h.defended[a] = now
	}
	h.mu.Unlock()
	if due {
		h.sendAnnouncements(a)
	}
}

// probe returns nil if no other host has a or probes for it (RFC 5227, section 2.1),
// and otherwise ErrAddressConflict. The host must not have the address yet.
func (h *Host) probe(ctx context.Context, a netip.Addr) error {
	lost := make(chan struct{}, 1)
	h.mu.Lock()
	h.probes[a] = lost
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.probes, a)
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for sent := 0; ; sent++ {
		select {
		case <-lost:
			return fmt.Errorf("%v: %w", a, ErrAddressConflict)
		case <-ctx.Done():
			return contextError(ctx)
		case <-h.done:
			return h.Err()
		case <-timer.C:
		}
		if sent == probeCount {
			if len(lost) > 0 { // a conflict and the end of the wait at once
				continue
			}
			return nil
		}
		_, _ = h.ep.Conn().TryWriteBatch([][]byte{arpRequest(h.MAC(), [4]byte{}, a.As4())}) // a probe may be lost: others follow
		timer.Reset(probeInterval)
	}
}

// probeAll probes for the IPv4 addresses of a configuration, all at the same time.
func (h *Host) probeAll(ctx context.Context, addrs []netip.Prefix) error {
	results := make(chan error, len(addrs))
	probes := 0
	for _, p := range addrs {
		if a := p.Addr(); a.Is4() {
			probes++
			go func() { results <- h.probe(ctx, a) }()
		}
	}
	var first error
	for range probes {
		if err := <-results; first == nil {
			first = err
		}
	}
	return first
}
