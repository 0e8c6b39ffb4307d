// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package udp is the driver of the udp scheme: a cable of UDP datagrams between two
// hosts, one bare Ethernet frame in each.
//
//	udp://[SRC:]SRCPORT->DST:DSTPORT
//	udp://20001->10.0.0.2:20001
//	udp://10.0.0.1:20001->other.example.com:20001
//	udp://[2001:db8::1]:20001->[2001:db8::2]:20001
//
// vde.Open uses it; programs need the package only to build a [link.Mux] of their
// own:
//
//	mux := link.Mux{"udp": udp.Driver{}}
//
// An IPv6 address may also stand without brackets, as libvdeplug wants it: what
// follows the last colon is the port. One of a link has a zone, as in
// [fe80::2%eth0]:20001, and if that interface is removed and made again, the link goes on
// by the new one. An empty SRCPORT lets the system choose one.
//
// The socket is connected when it is opened, so the kernel drops datagrams of others
// than the peer from then on (it counts them as for no port). Those which came in the
// moment between binding and connecting are dropped and counted as Foreign in
// [link.Counters]. A datagram that another host refuses does not end the link: each
// refusal the kernel tells of is counted as Unsent, and frames pass again when the
// other side is back. An empty datagram is an empty frame, and no more than that.
//
// Frames that are longer than the path takes are sent in IP fragments. Frames of one
// size are sent many in a system call and without fragments if they are at most 28
// bytes shorter than the MTU over IPv4, or 48 over IPv6 (see UDP_SEGMENT in udp(7)).
// There is no encryption and no proof of origin: whoever can send datagrams with the
// peer's address can send frames.
//
// The format is that of docs/spec/vnl.md, section 5.1. The driver works on Linux;
// elsewhere Open returns an error that matches [errors.ErrUnsupported].
package udp

import (
	"context"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens links over UDP.
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. Only looking up names can take long; without a
// deadline in ctx it is bounded to 5 seconds. The error of a malformed locator
// matches [syscall.EINVAL].
func (Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	return open(ctx, l, s)
}
