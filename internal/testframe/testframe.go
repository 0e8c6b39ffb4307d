// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testframe

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Test frames carry a sequence number and can be checked byte for byte, by Go ([Check]) and by the C
// peers alike. All integers are big-endian.
//
//	offset  size
//	0       12    addresses, not looked at
//	12      2     EtherType 0x88B5, reserved for local experiments
//	14      8     sequence number s
//	22      4     length of the whole frame
//	26      ...   the byte at offset i is the low byte of
//	              s + s>>8 + s>>16 + ... + s>>56 + 7*i + 13*(i>>8)
const (
	EtherType  = 0x88B5
	MinSize    = 26 // the shortest test frame
	paddedSize = 60 // shorter frames may arrive padded to this length, with any content
)

// ErrNotTestFrame is returned for a frame of another EtherType.
var ErrNotTestFrame = errors.New("testframe: not a test frame")

// Fill makes b a test frame with sequence number seq; the twelve address bytes stay as they are. It
// panics if b is shorter than MinSize.
func Fill(b []byte, seq uint64) {
	_ = b[MinSize-1]
	binary.BigEndian.PutUint16(b[12:], EtherType)
	binary.BigEndian.PutUint64(b[14:], seq)
	binary.BigEndian.PutUint32(b[22:], uint32(len(b)))
	k := key(seq)
	for i := MinSize; i < len(b); {
		i += copy(b[i:], content(k, i))
	}
}

// Check returns the sequence number of a test frame, and an error if the frame is not what Fill
// made: of another length, or with other content. A short frame that was padded to 60 bytes on the way is fine.
func Check(b []byte) (seq uint64, err error) {
	if len(b) < 14 || binary.BigEndian.Uint16(b[12:]) != EtherType {
		return 0, ErrNotTestFrame
	}
	if len(b) < MinSize {
		return 0, fmt.Errorf("testframe: test frame cut to %d bytes", len(b))
	}
	seq = binary.BigEndian.Uint64(b[14:])
	n := int64(binary.BigEndian.Uint32(b[22:]))
	padded := len(b) == paddedSize && n >= MinSize && n < paddedSize
	if n != int64(len(b)) && !padded {
		return seq, fmt.Errorf("testframe: test frame %d has %d bytes instead of %d", seq, len(b), n)
	}
	k := key(seq)
	for i := MinSize; i < int(n); {
		want := content(k, i)
		got := b[i:min(int(n), i+len(want))]
		if string(got) != want[:len(got)] {
			for j := range got {
				if got[j] != want[j] {
					return seq, fmt.Errorf("testframe: test frame %d: byte %d is %#02x instead of %#02x", seq, i+j, got[j], want[j])
				}
			}
		}
		i += len(got)
	}
	return seq, nil
}

func key(seq uint64) (k byte) {
	for ; seq != 0; seq >>= 8 {
		k += byte(seq)
	}
	return k
}

// multiples holds the low bytes of the multiples of 7, twice all that there are.
var multiples = func() string {
	b := make([]byte, 512)
	for i := range b {
		b[i] = byte(7 * i)
	}
	return string(b)
}()

// content returns what a test frame with a key holds from offset i on, up to the next
// multiple of 256. To look at each byte by itself takes long with the race detector.
func content(k byte, i int) string {
	const inverse = 183 // 7*183 is 1 modulo 256
	from := int(byte(i) + inverse*(k+byte(13*(i>>8))))
	// Offset i adds 7*i, of which only the low byte of i counts.
	return multiples[from:][:256-i&0xff]
}
