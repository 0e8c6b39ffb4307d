// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vxlan is the driver of the vxlan scheme: a tunnel endpoint of VXLAN
// (RFC 7348), which joins a network with those of the kernel, of switches and of
// libvdeplug.
//
//	vxlan://[ADDRESS][/port=4789/vni=1/ttl=1/v4/v6/if=NAME/rcvbuf=SIZE/hashsize=1024/expiretime=128]
//	vxlan://10.0.0.2/vni=42
//	vxlan://239.1.2.3/vni=42/if=eth0
//	vxlan://[2001:db8::2]/vni=42
//
// vde.Open uses it; programs need the package only to build a [link.Mux] of their
// own:
//
//	mux := link.Mux{"vxlan": vxlan.Driver{}}
//
// ADDRESS is where frames to unknown addresses go: another tunnel endpoint, or a
// multicast group (239.0.0.1 by default, with v6 ff05:56de::1), for which the system
// must have a route, or if must name an interface. (A percent sign before a zone, as in
// fe80::2%eth0, is %25 if two hexadecimal digits follow.) Other frames go to the endpoint
// that frames of their destination have come from, whoever that is: as RFC 7348
// says, there is no proof of origin and no encryption. ttl is that of datagrams to a
// group, or to the ADDRESS given if that is a host; without it hosts are sent to with
// the system's.
//
// # Several links
//
// The VXLAN port of a host belongs to one process at a time, because datagrams of
// all networks arrive there: a second process, or the kernel beside it, needs another
// port, or a network namespace of its own. In a process any number of links share a
// port if each has a vni of its own. Each takes its frames from there; a link that
// does not receive loses frames when 2 MB are waiting for it (Discarded in
// [link.Counters]), and costs the others nothing. Datagrams are sent from a few other
// ports, by a hash of the flow that a frame belongs to, so that routers and
// receivers with several paths keep the order of each flow (RFC 7348, section 5).
//
// # Interfaces
//
// A link outlives the network interface that it uses. When the one that if or the zone of
// ADDRESS names is removed and made again, or another one gets its name, the link goes on
// by that: it joins its group again and forgets what it has learned. Without a name it
// does so by the interface to which the system's route to the group leads, also when the
// route moves. Frames sent in between are lost, and counted as Unsent as far as the
// kernel refuses them. Where a process may not have a netlink socket, a link keeps the
// interface that it was opened with.
//
// # Lengths
//
// A frame, its Ethernet header included, goes in one datagram if it is at most the
// MTU of the path minus [OverheadIPv4] or [OverheadIPv6] bytes long: 1464 or 1444
// bytes for an MTU of 1500, so the MTU inside is 1450 or 1430. Longer ones are sent
// in IP fragments, up to 65499 bytes. Other endpoints may not accept fragments: the
// standard does not want them.
//
// # Received datagrams
//
// The flag I has to be set; the reserved bits are ignored. Datagrams without it, or
// with a vni of no link of the process, are counted as Foreign. Frames of 14 bytes
// are frames. The table of learned addresses has hashsize entries, at most 65536;
// when it is full, further addresses are not learned, and an entry counts for
// expiretime seconds after its last frame.
//
// A datagram that another host refuses ends nothing, and each refusal that the kernel is
// told of is counted as Unsent.
//
// A kernel's tunnel device that is used by a container or a virtual machine hands
// over frames whose TCP and UDP checksums nobody has completed. They are recognised:
// a caller that takes metadata gets it, for others the checksum is completed. So are TCP
// segments of up to 64 KB, which such a kernel has not cut: they are cut for an MTU of
// 1430.
//
// The format is that of RFC 7348 and docs/spec/vnl.md, section 5.3. The driver works
// on Linux; elsewhere Open returns an error that matches [errors.ErrUnsupported].
package vxlan

import (
	"context"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// The headers between a frame and the beginning of its IP packet: those of VXLAN, UDP
// and IP.
const (
	OverheadIPv4 = 8 + 8 + 20
	OverheadIPv6 = 8 + 8 + 40
)

// A Driver opens links that are endpoints of VXLAN tunnels.
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. Only looking up a name can take long; without a
// deadline in ctx it is bounded to 5 seconds. The error of a malformed locator
// matches [syscall.EINVAL], that of a port or vni in use [syscall.EADDRINUSE].
func (Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	return open(ctx, l, s)
}
