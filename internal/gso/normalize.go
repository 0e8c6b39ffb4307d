// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import "github.com/go-vde/sdk/frame"

// Normalize returns o, which has passed [Check], with the fields that mean
// nothing made zero, so that no value that the sender chose goes on to others.
func Normalize(o frame.VNetHeader) frame.VNetHeader {
	if o.GSOType == frame.GSONone {
		o.HdrLen, o.GSOSize = 0, 0
	}
	if o.Flags&frame.VNetNeedsChecksum == 0 {
		o.CsumStart, o.CsumOffset = 0, 0
	}
	return o
}
