// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const (
	// attemptDelay is the time after which the next address is tried beside those
	// that have not answered (RFC 8305, section 8).
	attemptDelay = 250 * time.Millisecond

	// firstFamilyCount is how many addresses of the first one's family are tried
	// before one of the other family. After them the families alternate.
	firstFamilyCount = 2
)

// An attempt is the result of one of several attempts.
type attempt[T any] struct {
	i     int
	value T
	err   error
}

// attempts calls try with 0 to n-1, each after the one before has failed or delay has
// passed, and returns the first value, the first error that is final, or otherwise the
// error of try(0). The context of the others is then cancelled, and their values are
// given to discard.
func attempts[T any](ctx context.Context, n int, delay time.Duration, try func(ctx context.Context, i int) (T, error), discard func(T), final func(error) bool) (T, error) {
	if n == 1 {
		return try(ctx, 0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan attempt[T], n)
	started, pending := 0, 0
	start := func() {
		i := started
		started, pending = started+1, pending+1
		go func() {
			v, err := try(ctx, i)
			results <- attempt[T]{i, v, err}
		}()
	}
	var first error
	next := time.NewTimer(delay)
	defer next.Stop()
	for start(); pending > 0; {
		select {
		case r := <-results:
			pending--
			if r.err == nil || final(r.err) {
				cancel()
				for range pending {
					if late := <-results; late.err == nil {
						discard(late.value)
					}
				}
				return r.value, r.err
			}
			if r.i == 0 {
				first = r.err
			}
			if ctx.Err() != nil {
				started = n
			}
		case <-next.C:
		}
		if started < n {
			start()
			next.Reset(delay)
		}
	}
	var none T
	return none, first
}

// alternate puts addrs into the order in which they are tried.
func alternate(addrs []netip.Addr) []netip.Addr {
	var first, other []netip.Addr
	for _, a := range addrs {
		if a.Is6() == addrs[0].Is6() {
			first = append(first, a)
		} else {
			other = append(other, a)
		}
	}
	n := min(firstFamilyCount, len(first))
	order, first := append([]netip.Addr(nil), first[:n]...), first[n:]
	for len(first)+len(other) > 0 {
		if len(other) > 0 {
			order, other = append(order, other[0]), other[1:]
		}
		if len(first) > 0 {
			order, first = append(order, first[0]), first[1:]
		}
	}
	return order
}

func (h *Host) dial(ctx context.Context, network, address string, o dialOptions) (net.Conn, net.Addr, error) {
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
	if address == "" {
		return nil, nil, errMissingAddress
	}
	if a := o.local.Addr(); a.IsValid() && !a.IsUnspecified() {
		name.v4, name.v6 = name.v4 && a.Is4(), name.v6 && a.Is6()
		addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !name.allows(a) })
		if len(addrs) == 0 {
			return nil, nil, &net.AddrError{Err: errNoAddress.Error(), Addr: address}
		}
	}
	for i, a := range addrs {
		if !a.IsValid() || a.IsUnspecified() {
			if addrs[i] = h.self(name); !addrs[i].IsValid() {
				return nil, nil, errno("connect", &tcpip.ErrNetworkUnreachable{})
			}
		}
	}
	addrs = alternate(addrs)
	conn, err := attempts(ctx, len(addrs), attemptDelay, func(ctx context.Context, i int) (net.Conn, error) {
		return h.dialOne(ctx, network, name, netip.AddrPortFrom(addrs[i], port), o)
	}, func(late net.Conn) { late.Close() }, func(error) bool { return false })
	if err != nil {
		return nil, netAddr(name.proto, netip.AddrPortFrom(addrs[0], port), false), err
	}
	return conn, nil, nil
}

// self returns the first address of the host that name allows.
func (h *Host) self(name networkName) netip.Addr {
	for _, p := range h.Addrs() {
		if name.allows(p.Addr()) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// dialOne connects to ap.
func (h *Host) dialOne(ctx context.Context, network string, name networkName, ap netip.AddrPort, o dialOptions) (net.Conn, error) {
	if err := h.reachable(ap.Addr()); err != nil {
		return nil, err
	}
	// dialUDP and dialTCP return nil pointers with an error. Converted to a
	// net.Conn, these would not be nil.
	if name.proto == "udp" {
		conn, err := h.dialUDP(network, ap, o)
		if err != nil {
			return nil, err
		}
		return conn, nil
	}
	conn, err := h.dialTCP(ctx, network, ap, o)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// reachable returns ENETUNREACH for addresses that the host has no interface for: a
// packet to a loopback address must not go to the gateway.
func (h *Host) reachable(a netip.Addr) error {
	if a.Unmap().IsLoopback() || a.Is6() && !a.Is4In6() && !h.hasV6 {
		return errno("connect", &tcpip.ErrNetworkUnreachable{})
	}
	return nil
}

// bindLocal binds ep to local, as far as local is given.
func bindLocal(ep tcpip.Endpoint, local netip.AddrPort) error {
	if local == (netip.AddrPort{}) {
		return nil
	}
	full := fullAddress(local)
	if local.Addr().IsUnspecified() {
		full.Addr = tcpip.Address{}
	}
	ep.SocketOptions().SetV6Only(true) // the socket is of one family; no effect in IPv4
	return errno("bind", ep.Bind(full))
}
