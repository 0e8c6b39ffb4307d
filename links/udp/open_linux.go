// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// open opens the link that l names.
func open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	ctx, cancel := udpio.BoundLookups(ctx)
	defer cancel()
	a, err := parseAddress(l.Arg)
	if err != nil {
		return nil, err
	}
	src, dst, err := a.resolve(ctx)
	if err != nil {
		return nil, err
	}
	fd, err := udpio.Socket(src, udpio.Options{Receive: true, TTL: -1, WriteBuffer: s.WriteBuffer})
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("source %s: %w (another program has the port; give another one, or none)", src.AddrPort(), err)
	}
	if err != nil {
		return nil, fmt.Errorf("source %s: %w%s", src.AddrPort(), err, src.ScopeHint())
	}
	if src, err = udpio.LocalAddr(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if testHookBound != nil {
		testHookBound()
	}
	if err := udpio.Connect(fd, dst); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("destination %s: %w%s", dst.AddrPort(), err, dst.ScopeHint())
	}
	p := &port{local: src}
	p.peer.Store(&dst)
	var follower *udpio.Follower // nil if no interface is that of the link
	if scope := cmp.Or(dst.Scope, src.Scope); scope != 0 {
		follower = udpio.NewFollower(dst, int(scope))
	}
	u, err := udpio.NewLink(udpio.Config{
		Address: l.String(),
		Source:  &udpio.PrivateSource{Locker: p, Receiver: udpio.NewReceiver(fd), Sockets: []int{fd}, Accept: p.accept},
		Sockets: []int{fd},
		Router:  p,
		Foreign: p.foreign.Load,

		Farewell: follower.Close,
	})
	if err != nil {
		follower.Close()
		unix.Close(fd)
		return nil, err
	}
	follower.Start(func(index int) error { return p.follow(fd, index) })
	return u, nil
}

// testHookBound, if not nil, is called when the socket is bound and not connected.
var testHookBound func()

// resolve looks up the names in a. A name may have addresses of both versions of IP: that
// of the destination means the one of the source, if this is a number.
func (a *address) resolve(ctx context.Context) (src, dst udpio.Addr, err error) {
	family := udpio.AnyFamily
	if ip, err := netip.ParseAddr(strings.Trim(a.srcHost, "[]")); err == nil {
		family = udpio.FamilyOf(udpio.AddrOf(netip.AddrPortFrom(ip, 0), 0))
	}
	if dst, err = udpio.Resolve(ctx, a.dstHost, family); err == nil {
		dst.Port, err = udpio.Port(ctx, a.dstPort)
	}
	if err == nil && dst.Port == 0 {
		err = vnl.Errorf("the port is 0")
	}
	if err != nil {
		return src, dst, fmt.Errorf("destination: %w", err)
	}
	family = udpio.FamilyOf(dst)
	unspecified := netip.IPv6Unspecified()
	if family == udpio.IPv4 {
		unspecified = netip.IPv4Unspecified()
	}
	if src = udpio.AddrOf(netip.AddrPortFrom(unspecified, 0), 0); a.srcHost != "" {
		src, err = udpio.Resolve(ctx, a.srcHost, family)
	}
	if err == nil && a.srcPort != "" {
		src.Port, err = udpio.Port(ctx, a.srcPort)
	}
	if err != nil {
		return src, dst, fmt.Errorf("source: %w", err)
	}
	return src, dst, nil
}

// A port says which datagrams are those of a link: all of its peer.
type port struct {
	local   udpio.Addr // that the socket is bound to
	peer    atomic.Pointer[udpio.Addr]
	foreign atomic.Uint64
}

var (
	_ udpio.Router = (*port)(nil)
	_ sync.Locker  = (*port)(nil)
)

// Lock does nothing: the peer does not change.
func (p *port) Lock() {}

// Unlock does nothing.
func (p *port) Unlock() {}

// Header implements [udpio.Router].
func (p *port) Header() []byte { return nil }

// Route implements [udpio.Router].
func (p *port) Route([]byte) (socket int, to *udpio.Peer) { return 0, nil }

// follow has fd, the socket of p, go on by another interface.
func (p *port) follow(fd, index int) error {
	peer := *p.peer.Load()
	if peer.Scope != 0 {
		peer.Scope = uint32(index)
	}
	if err := udpio.Rebind(fd, p.local, index); err != nil {
		return err
	}
	p.peer.Store(&peer)
	return udpio.Connect(fd, peer)
}

func (p *port) accept(d udpio.Datagram) ([]byte, bool) {
	if d.From != *p.peer.Load() {
		p.foreign.Add(1)
		return nil, false
	}
	return d.Data, true
}
