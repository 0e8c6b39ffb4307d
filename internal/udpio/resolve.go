// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/go-vde/sdk/vnl"
)

// A Family restricts an address to a version of IP.
type Family string

// The families are the networks of [net.Resolver.LookupNetIP].
const (
	AnyFamily Family = "ip"
	IPv4      Family = "ip4"
	IPv6      Family = "ip6"
)

// FamilyOf returns the family of an address.
func FamilyOf(a Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// lookupTimeout is the bound of BoundLookups.
const lookupTimeout = 5 * time.Second

// BoundLookups returns ctx, bounded to 5 seconds if it has no deadline, for Resolve, Port and
// what else looks up names. cancel releases what it holds.
func BoundLookups(ctx context.Context) (bounded context.Context, cancel context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, lookupTimeout)
}

// Resolve returns the address of a host given by name or number. An IPv6 address may
// be in brackets.
func Resolve(ctx context.Context, host string, f Family) (Addr, error) {
	literal := host
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if literal, ok = strings.CutSuffix(inner, "]"); !ok {
			return Addr{}, vnl.Errorf("address %q has no closing bracket", host)
		}
	}
	ip, err := netip.ParseAddr(literal)
	if err != nil {
		if literal != host {
			return Addr{}, vnl.Errorf("%q is not an IPv6 address", literal)
		}
		list, err := net.DefaultResolver.LookupNetIP(ctx, string(f), host)
		if err != nil {
			return Addr{}, err
		}
		ip = list[0]
	}
	zone := ip.Zone()
	if ip = ip.WithZone("").Unmap(); f == IPv4 && !ip.Is4() || f == IPv6 && ip.Is4() {
		return Addr{}, vnl.Errorf("address %s is of the other version of IP", host)
	}
	a := AddrOf(netip.AddrPortFrom(ip, 0), 0)
	if zone != "" && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()) {
		n, err := InterfaceIndex(zone)
		if err != nil {
			return Addr{}, err
		}
		a.Scope = uint32(n)
	}
	return a, nil
}

// InterfaceIndex returns the number of a network interface given by name or number.
func InterfaceIndex(name string) (int, error) {
	i, err := net.InterfaceByName(name)
	if err == nil {
		return i.Index, nil
	}
	if n, e := strconv.ParseUint(name, 10, 31); e == nil && n > 0 {
		return int(n), nil
	}
	var route *net.OpError // "route ip+net"
	if errors.As(err, &route) {
		err = route.Err
	}
	return 0, fmt.Errorf("interface %q: %w", name, err)
}

// Port returns the number of a port given by name or number.
func Port(ctx context.Context, s string) (uint16, error) {
	if strings.Trim(s, "0123456789") == "" {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return 0, vnl.Errorf("port %q is out of range, the highest is 65535", s)
		}
		return uint16(n), nil
	}
	n, err := net.DefaultResolver.LookupPort(ctx, "udp", s)
	if err != nil || n < 0 || n > 1<<16-1 {
		return 0, vnl.Errorf("port %q is neither a number nor the name of a service", s)
	}
	return uint16(n), nil
}

// Number parses the decimal value of a parameter.
func Number(key, value string, lowest, highest int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < lowest || n > highest {
		return 0, vnl.Errorf("%s %q is not a number from %d to %d", key, value, lowest, highest)
	}
	return n, nil
}

// Bytes parses a size: a number as in C, followed by letters each of which multiplies
// by a power of 1024 (docs/spec/vnl.md, section 3.5).
func Bytes(key, value string) (int, error) {
	digits := strings.TrimRight(value, "kKmMgGtT")
	n, err := strconv.ParseInt(digits, 0, 64)
	for _, c := range strings.ToLower(value[len(digits):]) {
		for range 1 + strings.IndexRune("kmgt", c) {
			if n > maxBytes {
				break
			}
			n *= 1024
		}
	}
	if err != nil || n <= 0 || n > maxBytes {
		return 0, vnl.Errorf("%s %q is not a size such as 64k, of at most 1g", key, value)
	}
	return int(n), nil
}

// maxBytes is the largest size of a buffer.
const maxBytes = 1 << 30
