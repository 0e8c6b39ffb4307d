// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/vnl"
)

// TTLs returns the TTL of datagrams to the group, and of others, of a member that a
// locator names.
func TTLs(ctx context.Context, locator string) (multicast, unicast int, err error) {
	a, err := parse(vnl.Parse(locator))
	if err == nil {
		err = a.resolve(ctx)
	}
	if err != nil {
		return 0, 0, err
	}
	m := &member{address: a}
	local, err := a.local(ctx)
	if err == nil {
		err = m.openSockets(local, 0)
	}
	if err != nil {
		return 0, 0, err
	}
	defer m.closeSockets()
	level, options := unix.IPPROTO_IPV6, [2]int{unix.IPV6_MULTICAST_HOPS, unix.IPV6_UNICAST_HOPS}
	if a.group.Is4() {
		level, options = unix.IPPROTO_IP, [2]int{unix.IP_MULTICAST_TTL, unix.IP_TTL}
	}
	if multicast, err = unix.GetsockoptInt(m.unicast, level, options[0]); err == nil {
		unicast, err = unix.GetsockoptInt(m.unicast, level, options[1])
	}
	return multicast, unicast, err
}
