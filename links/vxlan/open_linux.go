// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
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
	t := &tunnel{
		address: a, head: a.header(), unknown: udpio.NewPeer(a.remote),
		table: udpio.NewTable(a.Size, a.Age, time.Now), event: -1,
	}
	t.own, t.any = t.acceptOwn, t.acceptAny
	sockets, err := t.openSockets(s.WriteBuffer)
	if err != nil {
		return nil, err
	}
	u, err := udpio.NewLink(udpio.Config{
		Address: l.String(), Source: t, Sockets: sockets, Owned: true, Router: t, Foreign: t.foreign.Load, Discarded: t.discarded.Load,
	})
	if err != nil {
		t.Close()
		closeAll(sockets)
		return nil, err
	}
	t.senders = sockets
	t.follower.Start(func(index int) error { return t.endpoint.follow(t, index) })
	return u, nil
}

// openSockets joins the endpoint of the port, and opens the sockets to send from.
func (t *tunnel) openSockets(writeBuffer int) (sockets []int, err error) {
	if t.event, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if t.remote.IsMulticast() || t.ifindex != 0 {
		t.follower = udpio.NewFollower(t.remote, t.ifindex)
	}
	if err := t.join(); err != nil {
		t.follower.Close()
		unix.Close(t.event)
		return nil, err
	}
	o := udpio.Options{TTL: t.TTL, WriteBuffer: writeBuffer, Interface: t.ifindex}
	if t.remote.IsMulticast() {
		if o.TTL < 0 {
			o.TTL = 1
		}
	} else {
		o.TTL, o.UnicastTTL, o.UnicastByIf = -1, max(t.TTL, 0), true
	}
	for range sendSockets {
		fd, err := t.openSender(o)
		if err != nil {
			t.Close()
			closeAll(sockets)
			return nil, fmt.Errorf("socket to send from: %w", err)
		}
		sockets = append(sockets, fd)
	}
	return sockets, nil
}

// sendSockets is how many source ports a link has, a power of two. Frames of one
// batch that go by different sockets are not joined in one message, so more make
// sending slower.
const sendSockets = 4

// The source ports that RFC 7348 recommends, and how many to try before the system
// may choose any.
const (
	firstPort = 49152
	portTries = 8
)

// openSender opens a socket to send from.
func (t *tunnel) openSender(o udpio.Options) (fd int, err error) {
	for range portTries {
		port := firstPort + rand.IntN(1<<16-firstPort)
		fd, err = udpio.Socket(anyAddr(t.remote).WithPort(uint16(port)), o)
		if !errors.Is(err, unix.EADDRINUSE) {
			return fd, err
		}
	}
	return udpio.Socket(anyAddr(t.remote), o)
}

// anyAddr returns the unspecified address of the family of a.
func anyAddr(a udpio.Addr) udpio.Addr {
	unspecified := netip.IPv6Unspecified()
	if a.Is4() {
		unspecified = netip.IPv4Unspecified()
	}
	return udpio.AddrOf(netip.AddrPortFrom(unspecified, 0), 0)
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
