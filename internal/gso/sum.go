// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"encoding/binary"
	"math/bits"
)

// sum adds the 16-bit words of b to acc, in ones' complement. Words are taken in
// little-endian order, eight bytes at a time: the order changes nothing but the
// order of the result's bytes (RFC 1071, section 2), which fold sets right. A
// last odd byte is padded with zero, so only the last part of a sum may be odd.
func sum(acc uint64, b []byte) uint64 {
	var c uint64
	for len(b) >= 64 {
		// The carry travels along the whole chain, and into the next.
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[0:8]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[8:16]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[16:24]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[24:32]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[32:40]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[40:48]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[48:56]), c)
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b[56:64]), c)
		b = b[64:]
	}
	for len(b) >= 8 {
		acc, c = bits.Add64(acc, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var rest uint64
	for i, x := range b {
		rest |= uint64(x) << (8 * i)
	}
	acc, c = bits.Add64(acc, rest, c)
	acc, c = bits.Add64(acc, 0, c)
	return acc + c // a second carry leaves room for itself
}

// word adds the 16-bit word w, as it is on the wire.
func word(acc uint64, w uint16) uint64 {
	acc, c := bits.Add64(acc, uint64(bits.ReverseBytes16(w)), 0)
	return acc + c
}

// fold returns the sum in 16 bits, as it is on the wire.
func fold(acc uint64) uint16 {
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return bits.ReverseBytes16(uint16(acc))
}

// pseudo returns the sum of the pseudo-header of f, length excepted.
func pseudo(f []byte, l layout) uint64 {
	addrs := f[l.ip+12 : l.ip+20]
	if l.v6 {
		addrs = f[l.ip+8 : l.ip+40]
	}
	return word(sum(0, addrs), uint16(l.proto))
}
