// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// open opens the link that l names.
func open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	ctx, cancel := udpio.BoundLookups(ctx)
	defer cancel()
	a, err := parse(l)
	if err != nil {
		return nil, err
	}
	if err := a.resolve(ctx); err != nil {
		return nil, err
	}
	local, err := a.local(ctx)
	if err != nil {
		return nil, err
	}
	m := &member{
		address: a, head: a.header(), all: udpio.NewPeer(a.group),
		table: udpio.NewTable(a.Size, a.Age, time.Now), bound: a.Bind != "",
	}
	if err := m.openSockets(local, s.WriteBuffer); err != nil {
		return nil, err
	}
	c := udpio.Config{
		Address: l.String(), Source: m.newSource(), Sockets: []int{m.unicast},
		Router: m, Foreign: m.foreign.Load, Farewell: m.farewell,
	}
	u, err := udpio.NewLink(c)
	if err != nil {
		m.closeSockets()
		return nil, err
	}
	m.follower.Start(m.follow)
	return u, nil
}

// local returns the address of the unicast socket, without a port.
func (a *address) local(ctx context.Context) (udpio.Addr, error) {
	if a.Bind != "" {
		local, err := udpio.Resolve(ctx, a.Bind, udpio.FamilyOf(a.group))
		if err != nil {
			return local, fmt.Errorf("bind: %w", err)
		}
		return local, nil
	}
	if a.group.Is4() {
		return udpio.AddrOf(netip.AddrPortFrom(netip.IPv4Unspecified(), 0), 0), nil
	}
	return udpio.AddrOf(netip.AddrPortFrom(netip.IPv6Unspecified(), 0), 0), nil
}

// openSockets opens the sockets for the group and for unicast, and one to ask the
// system for the source address of what is sent to the group.
func (m *member) openSockets(local udpio.Addr, writeBuffer int) (err error) {
	m.multicast, m.unicast, m.probe = -1, -1, -1
	defer func() {
		if err != nil {
			m.closeSockets()
		}
	}()
	o := udpio.Options{Receive: true, Reuse: true, Buffer: m.Buffer, TTL: -1, Interface: m.ifindex}
	if m.multicast, err = udpio.Socket(m.group, o); err != nil {
		return fmt.Errorf("group %s: %w%s", m.group.AddrPort(), err, m.group.ScopeHint())
	}
	m.follower = udpio.NewFollower(m.group, m.ifindex)
	m.joined = cmp.Or(m.follower.Index(), m.ifindex)
	if err = udpio.Join(m.multicast, m.group, m.joined); err != nil {
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETUNREACH) {
			return fmt.Errorf("group %s: %w (there is no route to it: name an interface with if=)", m.group.AddrPort().Addr(), err)
		}
		return fmt.Errorf("group %s: %w", m.group.AddrPort().Addr(), err)
	}
	o = udpio.Options{Receive: true, Buffer: m.Buffer, WriteBuffer: writeBuffer, TTL: m.TTL, Loop: true, Interface: m.ifindex}
	if m.unicast, err = udpio.Socket(local, o); err != nil {
		return fmt.Errorf("socket for unicast at %s: %w%s", local.AddrPort().Addr(), err, local.ScopeHint())
	}
	if m.self, err = udpio.LocalAddr(m.unicast); err != nil {
		return err
	}
	m.probe, err = udpio.Socket(local.WithPort(0), udpio.Options{TTL: m.TTL, Interface: m.ifindex})
	if err == nil && !m.bound {
		m.probeSelf()
	}
	return err
}

func (m *member) closeSockets() {
	m.follower.Close()
	for _, fd := range []int{m.multicast, m.unicast, m.probe} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
