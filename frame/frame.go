// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame

import (
	"encoding/binary"
	"errors"
	"iter"
)

// Lengths in bytes, none of them counting the frame check sequence, which VDE
// does not carry.
const (
	HeaderLen      = 14   // untagged header
	TagLen         = 4    // one VLAN tag
	MinLen         = 60   // shortest frame Ethernet hardware sends, without FCS; VDE does not require it
	DefaultMaxSize = 9234 // largest frame libvdeplug exchanges: 9216 bytes of payload, header, one tag
)

// Offsets into the header (IEEE 802.3, 3.1.1).
const (
	dstOff  = 0
	srcOff  = 6
	typeOff = 12 // the type, or the TPID of the outermost tag
	tciOff  = 14 // the outermost tag's control information
)

// ErrShort is returned by [Parse] when a header or tag is cut off.
var ErrShort = errors.New("frame: truncated header")

// A Frame is a view of one Ethernet frame without FCS. Methods assume a Frame
// made by [Parse] whose header has not been changed since; they panic on a
// header that is cut off. None of them allocates.
type Frame []byte

// Parse returns b as a Frame after checking that the header and its tags are
// whole; what follows them may be of any length, including none. The Frame
// borrows b's memory. On error it is nil and the error is [ErrShort].
//
// The cost is constant for an untagged frame and linear in the number of tags.
func Parse(b []byte) (Frame, error) {
	if len(b) < HeaderLen {
		return nil, ErrShort
	}
	for n := HeaderLen; typeAt(b, n-2).IsTag(); {
		n += TagLen
		if len(b) < n {
			return nil, ErrShort
		}
	}
	return b, nil
}

// Dst returns the destination address.
func (f Frame) Dst() MAC { return MAC(f[dstOff:srcOff]) }

// Src returns the source address.
func (f Frame) Src() MAC { return MAC(f[srcOff:typeOff]) }

// EtherType returns the type that follows any tags.
func (f Frame) EtherType() EtherType {
	if t := typeAt(f, typeOff); !t.IsTag() {
		return t
	}
	return typeAt(f, f.taggedLen()-2)
}

// Tag returns the outermost VLAN tag, if there is one. Whether it is a
// customer or a service tag is in the two bytes before it.
func (f Frame) Tag() (t Tag, ok bool) {
	if !typeAt(f, typeOff).IsTag() {
		return 0, false
	}
	return Tag(binary.BigEndian.Uint16(f[tciOff:])), true
}

// Tags returns the VLAN tags, each after its TPID, the outermost first. The switch
// and most others go by the outermost; see [Frame.Tag].
func (f Frame) Tags() iter.Seq2[EtherType, Tag] {
	return func(yield func(EtherType, Tag) bool) {
		for n := typeOff; ; n += TagLen {
			t := typeAt(f, n)
			if !t.IsTag() || !yield(t, Tag(binary.BigEndian.Uint16(f[n+2:]))) {
				return
			}
		}
	}
}

// HeaderLen returns the length in bytes of the header with its tags.
func (f Frame) HeaderLen() int {
	if !typeAt(f, typeOff).IsTag() {
		return HeaderLen
	}
	return f.taggedLen()
}

// Payload returns what follows the header, padding included, sharing f's
// memory.
func (f Frame) Payload() []byte { return f[f.HeaderLen():] }

// taggedLen is HeaderLen for a frame with at least one tag. It is apart to keep
// the methods that use it small enough to inline.
func (f Frame) taggedLen() int {
	n := HeaderLen + TagLen
	for typeAt(f, n-2).IsTag() {
		n += TagLen
	}
	return n
}

func typeAt(b []byte, off int) EtherType {
	return EtherType(binary.BigEndian.Uint16(b[off:]))
}

// PutHeader writes an untagged header into the first [HeaderLen] bytes of b.
// It panics, before writing anything, if b is shorter than that.
//
// Headers are written last: with a pool buffer, Prepend makes room for one in
// front of a payload that is already in place.
func PutHeader(b []byte, dst, src MAC, t EtherType) {
	_ = b[HeaderLen-1]
	copy(b[dstOff:], dst[:])
	copy(b[srcOff:], src[:])
	binary.BigEndian.PutUint16(b[typeOff:], uint16(t))
}

// AppendHeader appends an untagged header to b and returns the extended slice.
func AppendHeader(b []byte, dst, src MAC, t EtherType) []byte {
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	return binary.BigEndian.AppendUint16(b, uint16(t))
}
