// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vxvde is the driver of the vxvde scheme: a switch without a server, made of
// all who have joined a multicast group. Frames to unknown addresses go to the group,
// others straight to where their destination is.
//
//	vxvde://[ADDRESS][/port=14789/vni=N/grp=GROUP/ttl=1/v4/v6/if=NAME/bind=ADDRESS/rcvbuf=SIZE/hashsize=1024/expiretime=128]
//	vxvde://
//	vxvde://239.1.2.3/vni=7/if=eth0
//	vxvde:///v6/grp=users
//
// vde.Open uses it; programs need the package only to build a [link.Mux] of their
// own:
//
//	mux := link.Mux{"vxvde": vxvde.Driver{}}
//
// ADDRESS is the group, 239.0.0.1 or with v6 ff05:56de::1 by default. grp sets its
// last three bytes to the number of a group of the system, and vni to the same if that
// is not given. ttl is that of datagrams to the group; the system's is used for
// others. The system must have a route to the group, or if must name an interface.
//
// When the interface that if or the zone of ADDRESS names is removed and made again, or
// the system's route to the group moves to another one, the link joins the group again
// there and goes on. Frames sent in between are lost.
//
// Any number of processes of a host may be in a group. At Close the others are told,
// and forget what they have learned of this link; the goodbyes of others are heeded.
// Datagrams with another vni, or another header, are counted as Foreign in
// [link.Counters], those that the kernel tells of as refused as Unsent.
//
// The table of learned addresses has hashsize entries, at most 65536. When it is full,
// further addresses are not learned, and frames to them go to the group; an entry
// counts for expiretime seconds after its last frame.
//
// Frames that are longer than the path takes are sent in IP fragments: those of more
// than the MTU minus 36 bytes over IPv4, or 56 over IPv6. Nothing is encrypted, and
// whoever can send to the group or to a member can send frames.
//
// The format is that of docs/spec/vnl.md, section 5.2. The driver works on Linux;
// elsewhere Open returns an error that matches [errors.ErrUnsupported].
package vxvde

import (
	"context"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens links to distributed switches.
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. Only looking up a name can take long; without a
// deadline in ctx it is bounded to 5 seconds. The error of a malformed locator
// matches [syscall.EINVAL].
func (Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	return open(ctx, l, s)
}
