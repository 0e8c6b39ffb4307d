// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// A record is a frame in a stream:
//
//	0  4  length of the frame, in host byte order
//	4 10  virtio-net header, if both sides have agreed on them
//	      the frame
const recordLen = 4

// MaxStreamFrame is the length of the longest frame in a [Stream].
const MaxStreamFrame = 128<<10 - recordLen - frame.VNetHeaderLen

const (
	// readSize is how much is read at once, twice the longest record.
	readSize = 256 << 10

	// writeSize is how much is written at once, but for a record that is longer.
	// The kernel takes so much as a whole or not at all.
	writeSize = 32 << 10
)

// buffers are of readSize bytes: what is read at the moment, or a long record that is
// written. writeBuffers are for everything else that is written. An idle stream has
// none.
var (
	buffers      = sync.Pool{New: func() any { return new([readSize]byte) }}
	writeBuffers = sync.Pool{New: func() any { return new([writeSize]byte) }}
)

// A lengthError is a violation: a record that is longer than any.
type lengthError uint32

func (e lengthError) Error() string {
	return fmt.Sprintf("the peer sent a record of %d bytes in a stream, at most %d are possible", uint32(e), MaxStreamFrame)
}

// Is reports whether target is [link.ErrViolation].
func (e lengthError) Is(target error) bool { return target == link.ErrViolation }

// headLen returns the length of what is before the frame in a record.
func headLen(headers bool) int {
	if headers {
		return recordLen + frame.VNetHeaderLen
	}
	return recordLen
}

// parseRecord returns the length of the frame in the record at the beginning of b.
// ok is false if b does not hold the whole of the record yet.
func parseRecord(b []byte, head int) (size int, ok bool, err error) {
	if len(b) < recordLen {
		return 0, false, nil
	}
	n := binary.NativeEndian.Uint32(b)
	if n > MaxStreamFrame {
		return 0, false, lengthError(n)
	}
	return int(n), len(b) >= head+int(n), nil
}

// putRecord writes frame i of t, of size bytes, as a record to b, which has room, and
// returns the length of the record.
func putRecord(b []byte, t *link.Tx, i, size, head int) int {
	binary.NativeEndian.PutUint32(b, uint32(size))
	if head > recordLen {
		t.Header(i).Put(b[recordLen:head])
	}
	if t.Pieces == nil {
		copy(b[head:], t.Frames[i])
	} else {
		gather(b[head:], t.Pieces[i])
	}
	return head + size
}

func gather(b []byte, pieces net.Buffers) {
	for _, p := range pieces {
		b = b[copy(b, p):]
	}
}
