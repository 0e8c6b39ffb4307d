// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package ptp is the driver of the ptp scheme: two programs that open the same path
// are joined by a cable, without a switch.
//
//	c, err := vde.Open(ctx, "ptp:///tmp/cable") // the other side does the same
//
// There are two protocols, which do not understand each other (docs/spec/vnl.md,
// section 4.5). Libvdeplug 4.0.1, which Debian has, uses a pair of datagram sockets,
// PATH of the first comer and PATH+ of the second; later versions of its repository
// use a SOCK_SEQPACKET connection with a greeting. What to speak as the second comer
// is found out from the socket at PATH. As the first comer this package speaks that of
// 4.0.1, so a program with a later libvdeplug has to be started before this one, or
// fails to open.
//
// Open does not wait for the other side. The link is down without it and comes up
// again with the next one, in whatever role; frames wait meanwhile, or fail with
// [link.ErrDown] if they must not wait. A third program gets an error that matches
// EADDRINUSE. What dead processes have left at PATH and PATH+ is replaced, and Close
// removes our name. The permissions of our socket are 0700, unless the settings say
// otherwise. The address is the path as it is, without quoting or parameters.
//
// A datagram socket is not told that its peer has gone. One of ours says so with an
// empty datagram, as old versions of libvdeplug do; the end of others is found out at
// the next send, or within a second. The driver works on Linux; elsewhere Open returns
// an error that matches [errors.ErrUnsupported].
package ptp

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens point-to-point links.
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver].
func (Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	switch {
	case l.Arg == "":
		return nil, vnl.Errorf("ptp:// has no path: give the same one to both sides")
	case strings.ContainsRune(l.Arg, 0):
		return nil, vnl.Errorf("path %q contains a NUL", l.Arg)
	}
	return open(ctx, l, s)
}

// A greeting is what the listener of the later protocol says first: that it takes the
// connection, or an errno.
type greeting byte

// err returns why the connection was not taken, or nil.
func (g greeting) err() error {
	switch errno := syscall.Errno(g); errno {
	case 0:
		return nil
	case eisconn:
		return fmt.Errorf("the other side has a peer already: %w (%w)", syscall.EADDRINUSE, errno)
	default:
		return fmt.Errorf("the other side refuses: %w", errno)
	}
}

// eisconn is EISCONN of Linux.
const eisconn = 106
