// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package tap is the driver of the tap scheme: it opens a tap device of Linux, the
// interface through which the kernel's own network stack, or a bridge, takes part in
// a network. What is sent on the link the kernel receives on the interface.
//
// vde.Open uses it; programs need the package only to build a [link.Mux] of their
// own:
//
//	mux := link.Mux{"tap": tap.Driver{}}
//
// A locator is tap://NAME, as in docs/spec/vnl.md, section 4.3. NAME is used as it
// is; it has no parameters. With an empty NAME, or one such as tap%d, the kernel
// chooses the name, which [link.Caps] then tells as the address of the link. A name
// that is too long for an interface is an error, not cut.
//
// An interface that does not exist is made, which needs the capability CAP_NET_ADMIN,
// and is gone when the link is closed or its process ends. One that exists stays. A
// user without that capability may open one that was made for them:
//
//	ip tuntap add dev lan0 mode tap user alice
//	ip link set dev lan0 up
//
// A persistent device remembers that its user took long segments. Close makes it
// forget, but a program that is killed does not: before a program without virtio-net
// headers, such as vde_plug, uses the device after that, open and close it once more,
// or make it anew.
//
// The driver neither sets the interface up nor gives it addresses. While it is down,
// sending on the link fails with an error that matches [syscall.EIO].
//
// Frames are behind virtio-net headers, so the kernel hands over TCP segments of up to
// 64 KiB and leaves out checksums, and takes such frames. A receiver that has not
// asked for them gets ordinary frames. On a kernel without headers, or without some
// offload, the link does without.
//
// It works on Linux; elsewhere Open returns an error that matches
// [errors.ErrUnsupported].
package tap

import (
	"context"

	"github.com/go-vde/sdk/internal/tapio"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens tap devices. The zero Driver opens a device that has one queue, or
// one queue of a persistent device that was made with several.
type Driver struct {
	// MultiQueue makes the device one that may have several queues. Each Open of
	// the same name, while another link to it is open, returns a link that is one
	// more queue of it. The kernel spreads the flows of IP that it sends over the
	// queues, and takes frames from all, so a program that opens several must
	// receive on each; links in goroutines of their own then use several
	// processors. They are no ports for one switch: it would send a frame for the
	// device on each of them.
	MultiQueue bool
}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. The error matches [syscall.EINVAL] for a name that no
// interface can have, [io/fs.ErrPermission], [io/fs.ErrNotExist] without the device
// file, or [syscall.EBUSY] if another link or program has the interface. From the
// settings it takes WriteBuffer: how many bytes of frames may be under way in the
// kernel (0: any number).
func (d Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	if err := tapio.CheckName(l.Arg); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d.open(l.Arg, s)
}
