// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// Finish completes the checksum that o says is missing in f, which has passed
// [Check] and is not to be segmented. The field holds the sum of the
// pseudo-header, as Check cannot know.
func Finish(o frame.VNetHeader, f []byte) {
	if o.Flags&frame.VNetNeedsChecksum == 0 {
		return
	}
	l, err := parseIP(f, len(f))
	if err != nil || int(o.CsumStart) > l.end {
		return // it has not passed Check
	}
	check := ^fold(sum(0, f[o.CsumStart:l.end]))
	if check == 0 && o.CsumOffset == udpSum {
		check = 0xffff // 0 says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(f[o.CsumStart+o.CsumOffset:], check)
}
