// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"encoding/binary"
	"fmt"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A Framing is the header in front of each frame in a [Stream]. Header and frame are a
// record. It does not change.
type Framing struct {
	Name      string // for errors
	HeaderLen int    // in bytes
	MaxSize   int    // longest frame to send or to take, at most [MaxStreamFrame]

	lengthLen int // of the length, with which the header begins
	length    func(b []byte) int
	putLength func(b []byte, size int)
	vnet      bool // a virtio-net header follows
	own       bool // a length out of bounds is a violation of our rules, and not another framing
	noEmpty   bool // there is no record of a frame without bytes

	// guess, if not nil, returns the metadata of a frame that came without, and may
	// change its checksum accordingly. The frame is lent.
	guess func(f []byte) frame.VNetHeader
}

// recordLen is the length of the length in records between our own ends, in host byte
// order (docs/streams.md).
const recordLen = 4

// MaxStreamFrame is the length of the longest frame between our own ends.
const MaxStreamFrame = 128<<10 - recordLen - frame.VNetHeaderLen

// records and vnetRecords are the framings between our own ends, without and with a
// virtio-net header.
var (
	records = &Framing{
		Name: "records of this program", HeaderLen: recordLen, MaxSize: MaxStreamFrame, own: true,
		lengthLen: recordLen,
		length:    func(b []byte) int { return int31(binary.NativeEndian.Uint32(b)) },
		putLength: func(b []byte, size int) { binary.NativeEndian.PutUint32(b, uint32(size)) },
	}
	vnetRecords = records.withVNet()
)

func (f *Framing) withVNet() *Framing {
	with := *f
	with.HeaderLen, with.vnet = f.HeaderLen+frame.VNetHeaderLen, true
	return &with
}

// int31 returns n, or the largest number that fits in an int of 32 bits.
func int31(n uint32) int { return int(min(n, 1<<31-1)) }

// QEMU is the framing of QEMU's stream and socket back ends, passt, socket_vmnet and
// libkrun: the length in four bytes, most significant first. The longest frame is as
// long as QEMU takes.
var QEMU = &Framing{
	Name: "4-byte big-endian lengths", HeaderLen: 4, MaxSize: 4096 + 1<<16, noEmpty: true,
	lengthLen: 4,
	length:    func(b []byte) int { return int31(binary.BigEndian.Uint32(b)) },
	putLength: func(b []byte, size int) { binary.BigEndian.PutUint32(b, uint32(size)) },
}

// Hyperkit is the framing of hyperkit and VPNKit: the length in two bytes, least
// significant first.
var Hyperkit = &Framing{
	Name: "2-byte little-endian lengths", HeaderLen: 2, MaxSize: 1<<16 - 1, noEmpty: true,
	lengthLen: 2,
	length:    func(b []byte) int { return int(binary.LittleEndian.Uint16(b)) },
	putLength: func(b []byte, size int) { binary.LittleEndian.PutUint16(b, uint16(size)) },
}

// Superframes returns f for a peer that sends TCP segments undivided and leaves
// checksums to the receiver without saying so. mtu is that of what they become.
func (f *Framing) Superframes(mtu int) *Framing {
	with := *f
	with.guess = func(b []byte) frame.VNetHeader { return gso.Guess(b, mtu) }
	return &with
}

// parse returns the length of the frame in the record at the beginning of b, as soon as
// it is known. ok is false if b does not hold the whole of the record yet.
func (f *Framing) parse(b []byte) (size int, ok bool, err error) {
	if len(b) < f.lengthLen {
		return 0, false, nil
	}
	if size = f.length(b); size > f.MaxSize {
		return 0, false, &FramingError{f, size}
	}
	return size, len(b) >= f.HeaderLen+size, nil
}

// recordLen returns the length of the record of a frame of size bytes.
func (f *Framing) recordLen(size int) int {
	if size == 0 && f.noEmpty {
		return 0
	}
	return f.HeaderLen + size
}

// putHeader writes what is before frame i of t, of size bytes, to b, which has room,
// and returns its length.
func (f *Framing) putHeader(b []byte, t *link.Tx, i, size int) int {
	if f.putLength(b, size); f.vnet {
		t.Header(i).Put(b[f.lengthLen:f.HeaderLen])
	}
	return f.HeaderLen
}

// putRecord writes frame i of t, of size bytes, as a record to b, which has room, and
// returns the length of the record.
func (f *Framing) putRecord(b []byte, t *link.Tx, i, size int) int {
	copyFrame(b[f.putHeader(b, t, i, size):], t, i, 0)
	return f.HeaderLen + size
}

// putRest is putRecord without the first skip bytes of the record.
func (f *Framing) putRest(b []byte, t *link.Tx, i, size, skip int) int {
	if skip < f.HeaderLen {
		return copy(b, b[skip:f.putRecord(b, t, i, size)])
	}
	copyFrame(b, t, i, skip-f.HeaderLen)
	return f.HeaderLen + size - skip
}

// copyFrame copies frame i of t to b, without its first skip bytes.
func copyFrame(b []byte, t *link.Tx, i, skip int) {
	if t.Pieces == nil {
		copy(b, t.Frames[i][skip:])
		return
	}
	for _, p := range t.Pieces[i] {
		k := min(skip, len(p))
		b = b[copy(b, p[k:]):]
		skip -= k
	}
}

// A FramingError says that the other side does not keep to the framing. It matches
// [transport.ErrUnreadable], and between our own ends [link.ErrViolation].
type FramingError struct {
	Framing *Framing
	Size    int // that a header gave
}

// Error implements error.
func (e *FramingError) Error() string {
	return fmt.Sprintf("a header says that a frame of %d bytes follows, and none is longer than %d: does the other side send %s?",
		e.Size, e.Framing.MaxSize, e.Framing.Name)
}

// Is reports whether target is what e matches.
func (e *FramingError) Is(target error) bool {
	return target == transport.ErrUnreadable || target == link.ErrViolation && e.Framing.own
}
