// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// Guess returns the metadata of f, a frame of a sender that leaves checksums and
// segments to others without saying so in a header. A TCP segment in an IP packet
// longer than mtu is one to be cut into segments for that MTU; in f its checksum is
// made that of the pseudo-header, as it has to be. A checksum of TCP or UDP that is
// that of the pseudo-header is to be completed. Everything else is a frame as it is,
// also one whose checksum is wrong. The result passes [Check].
func Guess(f []byte, mtu int) frame.VNetHeader {
	l, err := parse(f, len(f))
	if err != nil || l.end > len(f) {
		return frame.VNetHeader{}
	}
	offset := tcpSum
	if l.proto == protoUDP {
		offset = udpSum
	}
	if l.l4+offset+2 > l.end || l.end-l.l4 > 1<<16-1 {
		return frame.VNetHeader{}
	}
	field := f[l.l4+offset : l.l4+offset+2]
	stored := binary.BigEndian.Uint16(field)
	if l.proto == protoUDP && stored == 0 {
		return frame.VNetHeader{} // there is none
	}
	start := word(pseudo(f, l), uint16(l.end-l.l4))
	complete := fold(sum(start, f[l.l4:l.end])) == 0xffff
	partial := !complete && stored == fold(start)
	long := l.proto == protoTCP && l.end-l.ip > mtu
	if !partial && !(complete && long) {
		return frame.VNetHeader{}
	}
	h := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: uint16(l.l4), CsumOffset: uint16(offset)}
	if long {
		h.GSOType, h.HdrLen, h.GSOSize = frame.GSOTCPv4, uint16(l.data), uint16(max(mtu-(l.data-l.ip), 0))
		if l.v6 {
			h.GSOType = frame.GSOTCPv6
		}
	}
	if Check(h, f) != nil {
		return frame.VNetHeader{}
	}
	binary.BigEndian.PutUint16(field, fold(start))
	return h
}
