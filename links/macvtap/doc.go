// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package macvtap is the driver of the macvtap scheme: it opens a macvtap device of
// Linux, which puts a program beside the kernel on the network of an interface, with an
// Ethernet address of its own and without a bridge.
//
// vde.Open uses it; programs need the package only to build a [link.Mux] of their
// own:
//
//	mux := link.Mux{"macvtap": macvtap.Driver{}}
//
// A locator is macvtap://IFNAME, as in docs/spec/vnl.md, section 4.4. IFNAME is used
// as it is; it has no parameters. The interface must exist, and the program must be
// able to read and write its device file, which only root can at first:
//
//	ip link add link eth0 name guest0 type macvtap mode bridge
//	ip link set dev guest0 up
//	chown alice /dev/tap$(cat /sys/class/net/guest0/ifindex)
//
// The interface takes frames for its own Ethernet address only, unless it is
// promiscuous (ip link set dev guest0 promisc on), and while it is down neither sends
// nor receives any. Each link to the same interface is a queue of it, over which the
// kernel spreads what it receives, so there should be one.
//
// Frames are behind virtio-net headers, as with package tap. It works on Linux;
// elsewhere Open returns an error that matches [errors.ErrUnsupported].
package macvtap

import (
	"context"

	"github.com/go-vde/sdk/internal/tapio"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens macvtap devices. The zero Driver has the defaults.
type Driver struct {
	// Dir is the directory of the device files (default /dev). A container may have
	// them elsewhere.
	Dir string
}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. The error matches [syscall.EINVAL] for a name that no
// interface can have, [syscall.ENODEV] if there is no such interface, [io/fs.ErrNotExist]
// without the device file, as if it is not one of macvtap, or [io/fs.ErrPermission].
// From the settings it takes WriteBuffer: how many bytes of frames may be under way in
// the kernel (0: its default).
func (d Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	if l.Arg == "" {
		return nil, vnl.Errorf("there is no interface in the locator, want macvtap://IFNAME")
	}
	if err := tapio.CheckName(l.Arg); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.open(l.Arg, s)
}
