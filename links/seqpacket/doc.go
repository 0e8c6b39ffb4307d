// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package seqpacket is the driver of the seqpacket scheme: it takes over a connected
// socket of kind SOCK_SEQPACKET that this process has inherited, on which one packet
// is one frame.
//
//	c, err := vde.Open(ctx, "seqpacket://3") // what the parent process passed as descriptor 3
//
// The number is decimal, octal with a leading 0, or hexadecimal with a leading 0x, as
// in C. The link owns the descriptor from then on: Close closes it. Nothing is done to
// a descriptor that is not such a socket, and the error says what it is. The packets
// are those of libvdeplug (docs/spec/vnl.md, section 4.7). It works on Linux; elsewhere
// Open returns an error that matches [errors.ErrUnsupported].
package seqpacket

import (
	"context"
	"strconv"
	"strings"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens links on inherited descriptors.
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. The error matches EINVAL for what is no number, EBADF
// for a descriptor that is not open, ENOTSOCK or EPROTOTYPE for one of another kind,
// ENOTCONN for a socket without a peer, and EBUSY for one that another link has.
func (Driver) Open(_ context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	fd, err := parse(l.Arg)
	if err != nil {
		return nil, err
	}
	return open(fd, l, s)
}

// parse returns the number of a descriptor.
func parse(text string) (int, error) {
	n, err := strconv.ParseUint(text, 0, 31)
	if err != nil || strings.ContainsAny(text, "_oO") || strings.ContainsAny(text, "bB") && !strings.ContainsAny(text, "xX") {
		return 0, vnl.Errorf("%q is not the number of a descriptor", text)
	}
	return int(n), nil
}
