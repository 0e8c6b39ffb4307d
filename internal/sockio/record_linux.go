// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"encoding/binary"
	"fmt"
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

	// longMessage is how much is written at once if that begins with such a record.
	longMessage = 256 << 10
)

// buffers are for what is read at the moment, writeBuffers for what is written, and
// restBuffers for the rest of a record that was written in part. An idle stream has
// none.
var (
	buffers      = sync.Pool{New: func() any { return new([readSize]byte) }}
	writeBuffers = sync.Pool{New: func() any { return new([writeSize]byte) }}
	restBuffers  = sync.Pool{New: func() any { return new([readSize / 2]byte) }}
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

// putHead writes what is before frame i of t, of size bytes, to b, which has room, and
// returns its length.
func putHead(b []byte, t *link.Tx, i, size, head int) int {
	binary.NativeEndian.PutUint32(b, uint32(size))
	if head > recordLen {
		t.Header(i).Put(b[recordLen:head])
	}
	return head
}

// putRecord writes frame i of t, of size bytes, as a record to b, which has room, and
// returns the length of the record.
func putRecord(b []byte, t *link.Tx, i, size, head int) int {
	putHead(b, t, i, size, head)
	copyFrame(b[head:], t, i, 0)
	return head + size
}

// putRest is putRecord without the first skip bytes of the record.
func putRest(b []byte, t *link.Tx, i, size, head, skip int) int {
	if skip < head {
		return copy(b, b[skip:putRecord(b, t, i, size, head)])
	}
	copyFrame(b, t, i, skip-head)
	return head + size - skip
}

// copyFrame copies frame i of t to b, without its first skip bytes.
func copyFrame(b []byte, t *link.Tx, i, skip int) {
	if t.Pieces == nil {
		copy(b, t.Frames[i][skip:])
		return
	}
	for _, p := range t.Pieces[i] {
		k := min(skip, len(p))
		b = b[copy(b, p[k:]):]
		skip -= k
	}
}
