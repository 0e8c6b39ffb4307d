// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// Addresses of the two ends' frames, locally administered.
var (
	suiteMACA = frame.MAC{0x02, 0, 0, 0, 0, 0x0a}
	suiteMACB = frame.MAC{0x02, 0, 0, 0, 0, 0x0b}
)

const suiteEtherType = 0x88b5 // for local experiments

// frameAB returns frame number seq from A to B, of the given length.
func (s *suite) frameAB(size, seq int) []byte { return suiteFrame(suiteMACB, suiteMACA, size, seq) }

// frameBA returns frame number seq from B to A, of the given length.
func (s *suite) frameBA(size, seq int) []byte { return suiteFrame(suiteMACA, suiteMACB, size, seq) }

func suiteFrame(dst, src frame.MAC, size, seq int) []byte {
	f := make([]byte, max(size, frame.HeaderLen+4))
	frame.PutHeader(f, dst, src, suiteEtherType)
	binary.BigEndian.PutUint32(f[frame.HeaderLen:], uint32(seq))
	for i := frame.HeaderLen + 4; i < size; {
		// The byte at i is byte(7*seq + i + i>>8). To write each by itself takes long with
		// the race detector.
		block := suiteBytes[byte(7*seq+i+i>>8):]
		i += copy(f[i:], block[:256-i&0xff])
	}
	return f[:size:size]
}

// suiteBytes holds all bytes in order, twice.
var suiteBytes = func() string {
	b := make([]byte, 512)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}()

func suiteSeq(f []byte) int {
	if len(f) < frame.HeaderLen+4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(f[frame.HeaderLen:]))
}
