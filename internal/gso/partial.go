// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// Partial returns the metadata of a frame that came without any, and whose checksum
// of TCP or UDP is not complete: where the field holds the sum of the pseudo-header,
// the metadata says so. Linux leaves it so in frames that it makes for a device which
// completes checksums, and a tunnel in user space gets to see such frames. A complete
// checksum is of this form once in 65536 frames; [Finish] then does not change it. The
// time it takes does not depend on the length of the frame.
func Partial(f []byte) (h frame.VNetHeader) {
	l, err := parse(f, len(f))
	if err != nil || l.tags > maxTags || l.proto != protoTCP && l.proto != protoUDP {
		return h
	}
	offset := tcpSum
	if l.proto == protoUDP {
		offset = udpSum
	}
	field := binary.BigEndian.Uint16(f[l.l4+offset:])
	if field == 0 || field != fold(word(pseudo(f, l), uint16(l.end-l.l4))) {
		return h
	}
	return frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: uint16(l.l4), CsumOffset: uint16(offset)}
}
