// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vdestream makes links over byte streams in the format of vde_plug, dpipe
// and wirefilter: each frame behind its length in two bytes, most significant first.
// Use it to exchange frames with them over standard input and output, or between
// programs of your own over any connection:
//
//	l, err := vdestream.New(conn, vdestream.Config{})
//	...
//	c, err := vde.NewConn(ctx, l)
//
// Package exec starts the program at the other end by itself.
//
// Programs of the vde2 suite, such as wirefilter, accept frames of up to 1521 bytes
// and get out of step at a longer one; vde_plug accepts 9236. Config.MaxFrameSize
// says how long a frame to send may be (default 9234). A length that is longer than
// this and than 9236 ends the link, because nothing after it can be understood.
//
// The source is docs/spec/vnl.md, section 6.
package vdestream

import (
	"io"

	"github.com/go-vde/sdk/internal/vdestream"
	"github.com/go-vde/sdk/link"
)

// A Config describes a link. The zero value has the defaults.
type Config = vdestream.Config

// Pipes are the two directions of a stream as one connection. Closer closes both
// and wakes what waits on them.
type Pipes = vdestream.Pipes

// New returns a link over c, which it owns from then on, also if it fails. To send a
// frame longer than cfg.MaxFrameSize is an error that matches EMSGSIZE and concerns
// no other frame.
func New(c io.ReadWriteCloser, cfg Config) (link.Link, error) { return vdestream.New(c, cfg) }
