// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package wire holds the bytes of the VDE handshake: the one request a client
// sends on a switch's control socket and the one reply it gets. It encodes and
// decodes and does nothing else; sockets belong to its callers.
//
//	request, version 3                      request, version 1
//	  0   4  magic                            0   4  magic
//	  4   4  3                                4   4  0, or 1 for port 0
//	  8   4  kind (low 8 bits), port (24)     8   6  the client's MAC, ignored
//	 12 110  sockaddr_un of the client       14 110  sockaddr_un of the client
//	122      description                    124      description
//
//	reply
//	  0 110  sockaddr_un of the switch
//
//	sockaddr_un, as Linux lays it out
//	  0   2  family
//	  2 108  path
//
// Integers are in host byte order: these sockets never leave the host.
//
// Nothing in a request gives the length of the description. It ends where the
// bytes of one write end, so a client must send the whole request at once, and
// a switch must take what one read returns.
//
// # Socket names
//
// A path in this package is written as package net and golang.org/x/sys/unix
// write socket names: a first byte '@' stands for the NUL byte that marks a
// name in Linux's abstract namespace, and everything else is a file's path.
// All 108 bytes belong to an abstract name on the wire, trailing NULs included,
// because the switches connect to it with the full address length. A parsed
// abstract name therefore always has 108 bytes, and a client must bind to the
// padded name, not to the short one.
//
// That leaves one name without a notation, a relative path that begins with
// '@'. It is refused in both directions; "./@name" names the same file.
package wire

import "errors"

const (
	// Magic is the first word of every request.
	Magic = 0xFEEDFACE

	// Version is the version of the request that current clients send.
	Version = 3

	// FixedLen is the length of a version 3 request without its description.
	FixedLen = 12 + sockaddrLen

	// V1FixedLen is the length of a version 1 request without its description.
	V1FixedLen = 14 + sockaddrLen

	// MaxRequestLen is the most that vde_switch reads of a request. What a
	// client sends beyond it is taken for a second request, which costs the
	// switch its hold on the connection.
	MaxRequestLen = 256

	// MaxDescription is the length to which [Description] keeps, the same as
	// libvdeplug's. Up to MaxRequestLen there is room for 134 bytes in a
	// version 3 request and for 132 in a version 1 request.
	MaxDescription = 127

	// ReplyLen is the length of a reply.
	ReplyLen = sockaddrLen

	// SunPathLen is the length of the path in a socket address.
	SunPathLen = 108

	// MaxPathLen is the length of the longest file path to send. The kernel
	// would take one byte more, but C programs want a NUL at the end.
	MaxPathLen = SunPathLen - 1

	sockaddrLen = 2 + SunPathLen
	familyUnix  = 1 // AF_UNIX; package syscall has it on some systems only
)

// Errors of the Append and Parse functions, to be matched with [errors.Is].
var (
	ErrIncomplete = errors.New("handshake: more bytes are needed")
	ErrMagic      = errors.New("handshake: wrong magic number, the peer does not speak the VDE protocol")
	ErrVersion    = errors.New("handshake: unknown version")
	ErrKind       = errors.New("handshake: unknown kind of request")
	ErrFamily     = errors.New("handshake: not an AF_UNIX address")
	ErrPath       = errors.New("handshake: unusable socket path")
	ErrPort       = errors.New("handshake: port out of range")
	ErrTooLong    = errors.New("handshake: too many bytes")
)
