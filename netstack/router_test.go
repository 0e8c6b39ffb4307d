// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// The types of the messages of neighbour discovery, and the flags of a prefix.
const (
	routerSolicit, routerAdvert, neighborSolicit, neighborAdvert = 133, 134, 135, 136

	onLink, autonomous = 0x80, 0x40
)

var (
	allNodes = netip.MustParseAddr("ff02::1")
	routerLL = netip.MustParseAddr("fe80::1")
)

// An ndpMessage is a received message of neighbour discovery.
type ndpMessage struct {
	typ      byte
	src, dst netip.Addr
	hopLimit byte
	target   netip.Addr // of a neighbour solicitation or advertisement
	options  []byte
}

// An ndpRouter is a router that reads and writes frames on a connection. Its address is
// routerLL, and its MAC is macB.
type ndpRouter struct {
	t testing.TB
	c *vde.Conn

	settled uint16 // calls of settle

	mu   sync.Mutex
	seen []ndpMessage // guarded by mu; not yet returned by await
	more chan struct{}
}

// startRouter starts a router on c that calls handle for each message, and other for other
// frames.
func startRouter(t testing.TB, c *vde.Conn, handle func(r *ndpRouter, m ndpMessage), other func(r *ndpRouter, f frame.Frame)) *ndpRouter {
	r := &ndpRouter{t: t, c: c, more: make(chan struct{}, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 70000)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			m, ok := parseNDP(buf[:n])
			if !ok {
				if other != nil {
					other(r, frame.Frame(buf[:n]))
				}
				continue
			}
			if handle != nil {
				handle(r, m)
			}
			r.mu.Lock()
			r.seen = append(r.seen, m)
			r.mu.Unlock()
			select {
			case r.more <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return r
}

// advertiseTo returns a handler that answers router solicitations with a frame of advert.
func advertiseTo(advert []byte) func(r *ndpRouter, m ndpMessage) {
	return func(r *ndpRouter, m ndpMessage) {
		if m.typ == routerSolicit {
			r.send(advert)
		}
	}
}

// parseNDP returns the message in f if it is of neighbour discovery.
func parseNDP(f []byte) (m ndpMessage, ok bool) {
	if len(f) < 14+40+8 || frame.Frame(f).EtherType() != frame.EtherTypeIPv6 {
		return m, false
	}
	ip := header.IPv6(f[14:])
	if ip.NextHeader() != 58 || int(ip.PayloadLength()) > len(ip)-40 {
		return m, false
	}
	body := f[54:][:ip.PayloadLength()]
	addr := func(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b[:16])) }
	m = ndpMessage{typ: body[0], src: addr(ip[8:]), dst: addr(ip[24:]), hopLimit: ip.HopLimit()}
	switch {
	case m.typ == routerSolicit:
		m.options = slices.Clone(body[8:])
	case (m.typ == neighborSolicit || m.typ == neighborAdvert) && len(body) >= 24:
		m.target, m.options = addr(body[8:]), slices.Clone(body[24:])
	default:
		return m, false
	}
	return m, true
}

// await returns the next message that ok accepts, and drops those before it.
func (r *ndpRouter) await(what string, ok func(m ndpMessage) bool) ndpMessage {
	r.t.Helper()
	m, err := r.next(time.After(watchdog), ok)
	if err != nil {
		r.t.Fatalf("no %s", what)
	}
	return m
}

func (r *ndpRouter) next(end <-chan time.Time, ok func(m ndpMessage) bool) (ndpMessage, error) {
	for {
		r.mu.Lock()
		for i, m := range r.seen {
			if ok(m) {
				r.seen = r.seen[i+1:]
				r.mu.Unlock()
				return m, nil
			}
		}
		r.seen = nil
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-end:
			return ndpMessage{}, errors.New("time passed")
		}
	}
}

// settle returns when the host with the link-local address target, which must be usable
// soon, has received all frames that were sent before.
func (r *ndpRouter) settle(target netip.Addr) {
	r.t.Helper()
	r.settled++
	from := netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: 1, 14: byte(r.settled >> 8), 15: byte(r.settled)})
	end := bound(r.t)
	for end.Err() == nil {
		r.write(ndpFrame(macB, from, target, 255, solicitation(target, 1, 1, macB[0], macB[1], macB[2], macB[3], macB[4], macB[5])))
		if _, err := r.next(time.After(20*time.Millisecond), func(m ndpMessage) bool { return m.typ == neighborAdvert && m.dst == from }); err == nil {
			return
		}
	}
	r.t.Fatalf("%v does not answer", target)
}

// send sends a message from the router to all hosts.
func (r *ndpRouter) send(icmp []byte) { r.write(ndpFrame(macB, routerLL, allNodes, 255, icmp)) }

func (r *ndpRouter) write(f []byte) {
	if _, err := r.c.Write(f); err != nil {
		r.t.Error(err)
	}
}

// ndpFrame returns a frame with an ICMPv6 message, whose checksum it sets, to all hosts.
func ndpFrame(mac frame.MAC, src, dst netip.Addr, hopLimit byte, icmp []byte) []byte {
	f := frame.AppendHeader(nil, frame.MAC{0x33, 0x33, 0, 0, 0, 1}, mac, frame.EtherTypeIPv6)
	f = append(f, 0x60, 0, 0, 0, byte(len(icmp)>>8), byte(len(icmp)), 58, hopLimit)
	f = append(append(f, src.AsSlice()...), dst.AsSlice()...)
	f = append(f, icmp...)
	setICMPv6Checksum(f[14:])
	return f
}

// setICMPv6Checksum sets the checksum of the message right behind the header of ip.
func setICMPv6Checksum(ip []byte) {
	icmp := header.ICMPv6(ip[40:])
	icmp.SetChecksum(0)
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: icmp[:4], Src: header.IPv6(ip).SourceAddress(), Dst: header.IPv6(ip).DestinationAddress(),
		PayloadCsum: checksum.Checksum(icmp[4:], 0), PayloadLen: len(icmp) - 4,
	}))
}

// solicitation returns a neighbour solicitation for target with options.
func solicitation(target netip.Addr, options ...byte) []byte {
	return append(append([]byte{neighborSolicit, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...), options...)
}

// advertisement returns a neighbour advertisement of target by macB.
func advertisement(target netip.Addr) []byte {
	b := append([]byte{neighborAdvert, 0, 0, 0, 0x20, 0, 0, 0}, target.AsSlice()...)
	return append(append(b, 2, 1), macB[:]...)
}

// claim tells all hosts that macB has target.
func (r *ndpRouter) claim(target netip.Addr) {
	r.write(ndpFrame(macB, target, allNodes, 255, advertisement(target)))
}

// advert returns a router advertisement with the flags M (0x80), O (0x40) and those of the
// preference (RFC 4191).
func advert(flags byte, lifetime uint16, options ...[]byte) []byte {
	b := []byte{routerAdvert, 0, 0, 0, 64, flags, byte(lifetime >> 8), byte(lifetime), 0, 0, 0, 0, 0, 0, 0, 0}
	return append(b, slices.Concat(options...)...)
}

func prefixInfo(prefix string, flags byte, valid, preferred uint32) []byte {
	p := netip.MustParsePrefix(prefix)
	b := []byte{3, 4, byte(p.Bits()), flags}
	b = binary.BigEndian.AppendUint32(b, valid)
	b = binary.BigEndian.AppendUint32(b, preferred)
	return append(append(b, 0, 0, 0, 0), p.Addr().AsSlice()...)
}

func mtuOption(mtu uint32) []byte { return binary.BigEndian.AppendUint32([]byte{5, 1, 0, 0}, mtu) }

func rdnss(lifetime uint32, addrs ...string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{25, byte(1 + 2*len(addrs)), 0, 0}, lifetime)
	for _, a := range addrs {
		b = append(b, netip.MustParseAddr(a).AsSlice()...)
	}
	return b
}

// routeInfo returns a route information option with a preference of RFC 4191 in place.
func routeInfo(prefix string, preference byte, lifetime uint32) []byte {
	p := netip.MustParsePrefix(prefix)
	b := binary.BigEndian.AppendUint32([]byte{24, 3, byte(p.Bits()), preference}, lifetime)
	return append(b, p.Addr().AsSlice()...)
}

// eui64 returns the address in prefix, of 64 bits, that contains mac.
func eui64(prefix string, mac frame.MAC) netip.Addr {
	b := netip.MustParsePrefix(prefix).Addr().As16()
	copy(b[8:], []byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
	return netip.AddrFrom16(b)
}

// hasAddr reports whether h has the address a.
func hasAddr(h *netstack.Host, a netip.Addr) bool {
	return slices.ContainsFunc(h.Addrs(), func(p netip.Prefix) bool { return p.Addr() == a })
}

// routes6 returns the destinations and gateways of the IPv6 routes of h, in order, with
// the gateway :: for a network of its own.
func routes6(h *netstack.Host) (routes []string) {
	for _, r := range h.Stack().GetRouteTable() {
		if id := r.Destination.ID(); id.Len() == 16 {
			gw := netip.IPv6Unspecified()
			if r.Gateway.Len() == 16 {
				gw = netip.AddrFrom16(r.Gateway.As16())
			}
			routes = append(routes, netip.PrefixFrom(netip.AddrFrom16(id.As16()), r.Destination.Prefix()).String()+" "+gw.String())
		}
	}
	return routes
}
