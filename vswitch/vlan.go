// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// NoVLAN as a port's untagged VLAN means that it has none: frames without a tag
// are not accepted from it.
const NoVLAN = 4095

// maxVLAN is the highest identifier. 0 always exists; 1 to 4094 are the
// identifiers of 802.1Q.
const maxVLAN = 4094

// AllVLANs returns the identifiers 1 to 4094, for a trunk port.
func AllVLANs() []uint16 {
	all := make([]uint16, maxVLAN)
	for i := range all {
		all[i] = uint16(i + 1)
	}
	return all
}

// A vlanSet is a set of identifiers.
type vlanSet [(NoVLAN + 1) / 64]uint64

func (s *vlanSet) add(v uint16) { s[v/64] |= 1 << (v % 64) }

func (s *vlanSet) has(v uint16) bool { return s[v/64&63]&(1<<(v%64)) != 0 }

// tpidOff is where the type of a frame is, or of its tag.
const tpidOff = frame.HeaderLen - 2

// isTagged reports whether data, a whole header, has an 802.1Q tag outermost.
// Only this kind of tag means anything to the switch: a frame whose outermost tag is
// a service tag (0x88a8, 0x9100) is a frame without a tag, of the port's own VLAN, and
// keeps its tags.
func isTagged(data []byte) bool {
	return data[tpidOff] == 0x81 && data[tpidOff+1] == 0x00
}

// tagVLAN returns the identifier in the tag of a tagged frame.
func tagVLAN(data []byte) uint16 {
	return binary.BigEndian.Uint16(data[frame.HeaderLen:]) & 0xfff
}

// putVLAN makes v the VLAN in the tag of a tagged frame.
func putVLAN(data []byte, v uint16) {
	tci := data[frame.HeaderLen:]
	binary.BigEndian.PutUint16(tci, binary.BigEndian.Uint16(tci)&^0xfff|v)
}

// putTagged copies data to dst with a tag for v, of priority 0, behind the
// addresses, and returns the length.
func putTagged(dst, data []byte, v uint16) int {
	n := copy(dst, data[:tpidOff])
	binary.BigEndian.PutUint32(dst[n:], 0x8100<<16|uint32(v))
	return n + frame.TagLen + copy(dst[n+frame.TagLen:], data[tpidOff:])
}

// putUntagged copies data to dst without its tag and returns the length.
func putUntagged(dst, data []byte) int {
	n := copy(dst, data[:tpidOff])
	return n + copy(dst[n:], data[tpidOff+frame.TagLen:])
}
