// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import (
	"encoding/binary"
	"fmt"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// MaxSize is the longest frame in bytes that a stream with room for its length
// carries: as much as QEMU takes. A longer one can only mean that the other side
// speaks something else.
const MaxSize = 4096 + 1<<16

// A Framing is the header in front of each frame. It does not change.
type Framing struct {
	Name      string // for errors
	HeaderLen int    // in bytes, at most [MaxHeaderLen]
	MaxSize   int    // longest frame to send or to take, at most [MaxSize]

	// Metadata says that headers hold the metadata of frames, which a Conn then
	// takes as they are. Otherwise Put gets and Get returns zero metadata.
	Metadata bool

	// Guess, if not nil, returns the metadata of a frame that came without, and may
	// change its checksum accordingly. The frame is lent.
	Guess func(f []byte) frame.VNetHeader

	// Put writes the header of a frame of size bytes to the front of b.
	Put func(b []byte, size int, h frame.VNetHeader)

	// Get returns what the header at the front of b says. The size may be any.
	Get func(b []byte) (size int, h frame.VNetHeader)
}

// MaxHeaderLen is the longest header in bytes.
const MaxHeaderLen = 64

// QEMU is the framing of QEMU's stream and socket back ends, passt, socket_vmnet and
// libkrun: the length in four bytes, most significant first.
var QEMU = &Framing{
	Name: "4-byte big-endian lengths", HeaderLen: 4, MaxSize: MaxSize,
	Put: func(b []byte, size int, _ frame.VNetHeader) { binary.BigEndian.PutUint32(b, uint32(size)) },
	Get: func(b []byte) (int, frame.VNetHeader) {
		return int(min(binary.BigEndian.Uint32(b), 1<<31-1)), frame.VNetHeader{} // an int may have 32 bits
	},
}

// Hyperkit is the framing of hyperkit and VPNKit: the length in two bytes, least
// significant first.
var Hyperkit = &Framing{
	Name: "2-byte little-endian lengths", HeaderLen: 2, MaxSize: 1<<16 - 1,
	Put: func(b []byte, size int, _ frame.VNetHeader) { binary.LittleEndian.PutUint16(b, uint16(size)) },
	Get: func(b []byte) (int, frame.VNetHeader) { return int(binary.LittleEndian.Uint16(b)), frame.VNetHeader{} },
}

// Superframes returns f for a peer that sends TCP segments undivided and leaves
// checksums to the receiver without saying so. mtu is that of what they become.
func (f *Framing) Superframes(mtu int) *Framing {
	with := *f
	with.Guess = func(b []byte) frame.VNetHeader { return gso.Guess(b, mtu) }
	return &with
}

// A FramingError says that the other side does not keep to the framing.
type FramingError struct {
	Framing *Framing
	Size    int // that a header gave
}

// Error implements error.
func (e *FramingError) Error() string {
	return fmt.Sprintf("a header says that a frame of %d bytes follows, and none is longer than %d: does the other side send %s?",
		e.Size, e.Framing.MaxSize, e.Framing.Name)
}
