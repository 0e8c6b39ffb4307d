// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vdeplug is the driver of the vde scheme: it joins a switch through its
// control directory, as libvdeplug does, and opens a link whose frames go through
// a pair of datagram sockets or, where the switch accepts it, through shared
// memory or over the control stream.
//
// vde.Open uses it; programs need the package only to build a [link.Mux] of their
// own:
//
//	mux := link.Mux{"vde": vdeplug.Driver{}}
//
// The protocol is that of docs/spec/vde-protocol.md, the extensions for shared
// memory and for streams are those of docs/shared-memory.md and docs/streams.md. It works on Linux; elsewhere Open returns
// an error that matches [errors.ErrUnsupported].
package vdeplug

import (
	"context"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens links to VDE switches.
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. The error matches one of the errors of this
// package, or the error of ctx. Without a deadline in ctx it is bounded to 5
// seconds, because common switches never answer when they refuse a port.
func (Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	return open(ctx, l, s)
}
