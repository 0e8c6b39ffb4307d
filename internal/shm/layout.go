// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/go-vde/sdk/frame"
)

// The region: a page of control words, the ring to the switch, the ring to the
// client. Words that different sides write are a cache line apart, two for
// processors that fetch lines in pairs.
const (
	controlLen = 4096

	offerAt   = 0    // written by the client before it offers the region
	answerAt  = 512  // written by the switch before it replies
	offloadAt = 768  // takesOffload or 0, the client's, and a line further the switch's
	upAt      = 1024 // control words of the ring to the switch
	downAt    = 2048 // of the ring to the client
	line      = 128

	offerMagic  = "VDE-SHM?"
	answerMagic = "VDE-SHM!"
)

// Versions of an offer, which its answer repeats. In the first the doorbells are
// eventfds, which a peer can make block whoever rings them. Rings are neither
// offered nor taken with these; headers are, as nothing is rung for them.
const (
	versionEventfds = 1
	versionSockets  = 2
)

// Control words of a ring, relative to the first.
const (
	tailAt        = 0 * line // 64 bits: bytes published; the highest bit: closed by the consumer
	headAt        = 1 * line // 64 bits: bytes taken
	frameWakeupAt = 2 * line // 32 bits: 1 when the consumer needs to be woken at the next frame
	roomWakeupAt  = 3 * line // 32 bits: 1 when the producer needs to be woken when half the ring is free
)

// Features that are offered and taken.
const (
	// FeatureRings: frames go through the rings, not through the data sockets.
	FeatureRings = 1 << 0

	// FeatureHeaders: if frames go through the data sockets, each datagram begins
	// with a virtio-net header, and may be partial or a GSO frame. (In rings the
	// header of a slot holds that metadata, and each side says in the region when it
	// takes such frames.)
	FeatureHeaders = 1 << 1

	allFeatures = FeatureRings | FeatureHeaders
)

// takesOffload is what a side writes at offloadAt, or a line further, when it takes
// partial checksums and GSO frames.
const takesOffload = 1

// Sizes of rings, in bytes. The smallest still holds four of the longest frames.
const (
	MinRing     = 256 << 10
	DefaultRing = 512 << 10
	MaxRing     = 16 << 20
)

// ringFor returns the size of rings for frames of up to n bytes.
func ringFor(n int) int {
	size := DefaultRing
	for size < MaxRing && size < 8*n {
		size *= 2
	}
	return size
}

// MaxFrame is the longest frame that can be offered.
const MaxFrame = MaxRing / 8

// An offer is what the client writes at the beginning of the region.
type offer struct {
	version  uint32
	features uint64
	ring     uint32 // size of each ring; 0 without FeatureRings
}

// newOffer returns the offer of features, with rings of size bytes. One without
// rings is of the first version, so that a switch which knows no other takes it.
func newOffer(features uint64, size int) offer {
	o := offer{version: versionEventfds, features: features}
	if features&FeatureRings != 0 {
		o.version, o.ring = versionSockets, uint32(size)
	}
	return o
}

// regionLen returns the length of the region of an offer.
func (o offer) regionLen() int { return controlLen + 2*int(o.ring) }

func (o offer) put(b []byte) {
	copy(b, offerMagic)
	binary.NativeEndian.PutUint32(b[8:], o.version)
	binary.NativeEndian.PutUint32(b[12:], o.ring)
	binary.NativeEndian.PutUint64(b[16:], o.features)
}

// offerLen is the length of an offer and of an answer.
const offerLen = 24

var errOffer = errors.New("shm: not an offer this side understands")

// parseOffer reads an offer and checks it. Features that are not known here, or
// not taken in this version, are left out.
func parseOffer(b []byte) (offer, error) {
	if len(b) < offerLen || string(b[:8]) != offerMagic {
		return offer{}, errOffer
	}
	o := offer{
		version: binary.NativeEndian.Uint32(b[8:]), ring: binary.NativeEndian.Uint32(b[12:]),
		features: binary.NativeEndian.Uint64(b[16:]) & allFeatures,
	}
	switch {
	case o.version != versionEventfds && o.version != versionSockets:
		return offer{}, fmt.Errorf("%w: version %d", errOffer, o.version)
	case o.features == 0:
		return offer{}, fmt.Errorf("%w: no known feature", errOffer)
	case o.features&FeatureRings == 0 && o.ring != 0,
		o.features&FeatureRings != 0 && (o.ring < MinRing || o.ring > MaxRing || bits.OnesCount32(o.ring) != 1):
		return offer{}, fmt.Errorf("%w: rings of %d bytes", errOffer, o.ring)
	}
	if o.version == versionEventfds {
		o.features &^= FeatureRings
	}
	return o, nil
}

// putAnswer writes the answer that takes features of o.
func (o offer) putAnswer(b []byte, features uint64) {
	copy(b, answerMagic)
	binary.NativeEndian.PutUint32(b[8:], o.version)
	binary.NativeEndian.PutUint32(b[12:], 0)
	binary.NativeEndian.PutUint64(b[16:], features)
}

// parseAnswer returns the features that an answer takes of o, 0 if there is none.
func (o offer) parseAnswer(b []byte) (features uint64) {
	if string(b[:8]) != answerMagic || binary.NativeEndian.Uint32(b[8:]) != o.version {
		return 0
	}
	return binary.NativeEndian.Uint64(b[16:]) & o.features
}

// A slot is one frame in a ring: a header, the bytes, and padding up to the next
// multiple of slotAlign.
//
//	0  4  length of the frame
//	4  1  flags        \
//	5  1  gso_type     |
//	6  2  hdr_len      | frame.VNetHeader
//	8  2  gso_size     |
//	10 2  csum_start   |
//	12 2  csum_offset  /
//	14 2  0
const (
	slotHeader = 16
	slotAlign  = 16
)

// slotLen returns the length of the slot of a frame of n bytes.
func slotLen(n int) uint64 { return slotHeader + (uint64(n)+slotAlign-1)&^(slotAlign-1) }

// packSlot returns a slot's header as the two words that make it up.
func packSlot(n int, h frame.VNetHeader) (w0, w1 uint64) {
	var b [slotHeader]byte
	binary.NativeEndian.PutUint32(b[0:], uint32(n))
	b[4], b[5] = h.Flags, h.GSOType
	binary.NativeEndian.PutUint16(b[6:], h.HdrLen)
	binary.NativeEndian.PutUint16(b[8:], h.GSOSize)
	binary.NativeEndian.PutUint16(b[10:], h.CsumStart)
	binary.NativeEndian.PutUint16(b[12:], h.CsumOffset)
	return binary.NativeEndian.Uint64(b[0:]), binary.NativeEndian.Uint64(b[8:])
}

// unpackSlot is the reverse of packSlot. n is what the header says, and unchecked.
func unpackSlot(w0, w1 uint64) (n uint32, h frame.VNetHeader) {
	var b [slotHeader]byte
	binary.NativeEndian.PutUint64(b[0:], w0)
	binary.NativeEndian.PutUint64(b[8:], w1)
	return binary.NativeEndian.Uint32(b[0:]), frame.VNetHeader{
		Flags: b[4], GSOType: b[5],
		HdrLen:     binary.NativeEndian.Uint16(b[6:]),
		GSOSize:    binary.NativeEndian.Uint16(b[8:]),
		CsumStart:  binary.NativeEndian.Uint16(b[10:]),
		CsumOffset: binary.NativeEndian.Uint16(b[12:]),
	}
}
