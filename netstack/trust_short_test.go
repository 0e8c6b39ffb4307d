// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"testing"

	"github.com/go-vde/sdk/frame"
)

// The checksums of a frame that ends anywhere in its headers may be said to be
// verified: a switch lets that pass.
func TestTrustShortFrames(t *testing.T) {
	d := &delivery{r: &run{alone: true}}
	h := frame.VNetHeader{Flags: frame.VNetDataValid}
	for _, kind := range []frame.EtherType{frame.EtherTypeIPv4, frame.EtherTypeIPv6, frame.EtherTypeVLAN} {
		f := make([]byte, frame.HeaderLen+60)
		frame.PutHeader(f, frame.MAC{2, 1}, frame.MAC{2, 2}, kind)
		f[frame.HeaderLen] = 0x4f
		for n := frame.HeaderLen; n < frame.HeaderLen+20; n++ {
			if d.trustChecksum(h, f[:n:n]) {
				t.Errorf("%v, %d bytes: trusted", kind, n)
			}
		}
	}
}
