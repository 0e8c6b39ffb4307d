// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package link is the seam between what carries Ethernet frames and what uses
// them.
//
// Write a [Link] to put a new kind of connection below a [vde.Conn] or a port of
// a [vswitch.Switch], and a [Driver] to open it by a locator:
//
//	mux := link.Mux{"pipe": link.DriverFunc(openPipe)}
//	c, err := vde.Open(ctx, "pipe://left", vde.WithDrivers(mux))
//
// To write a driver for a connection whose calls wait, such as a stream, implement
// [FrameConn] and call [New]. The package examples/netconn is such a driver, for
// frames over any [net.Conn].
//
// A Conn adds to a link the errors of package net, the channel of Frames, counters
// and a context. [Redial] adds reconnecting to any driver's links. A frame that
// the link does not take unfinished is finished by its sender, so a driver need
// not know about offload. Package [linktest] checks that a driver keeps the
// promises made here.
//
// Programs that only move frames need this package for [Caps] and [State] alone.
//
// [vde.Conn]: https://pkg.go.dev/github.com/go-vde/sdk/vde#Conn
// [vswitch.Switch]: https://pkg.go.dev/github.com/go-vde/sdk/vswitch#Switch
// [net.Conn]: https://pkg.go.dev/net#Conn
// [linktest]: https://pkg.go.dev/github.com/go-vde/sdk/link/linktest
package link
