// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan

import "encoding/binary"

// queueSize is how many bytes wait for a link that does not receive.
const queueSize = 2 << 20

// A queue holds frames, each behind its length.
type queue struct {
	buf    []byte
	at     int // of the next frame
	frames int
}

// put adds a copy of f. It reports false if there is no room.
func (q *queue) put(f []byte) bool {
	need := 4 + len(f)
	if len(q.buf)+need > queueSize {
		if q.at < queueSize/2 {
			return false
		}
		q.buf = append(q.buf[:0], q.buf[q.at:]...)
		q.at = 0
		if len(q.buf)+need > queueSize {
			return false
		}
	}
	q.buf = binary.NativeEndian.AppendUint32(q.buf, uint32(len(f)))
	q.buf = append(q.buf, f...)
	q.frames++
	return true
}

// get returns the next frame, valid until the next put; there must be one.
func (q *queue) get() (f []byte) {
	n := int(binary.NativeEndian.Uint32(q.buf[q.at:]))
	f = q.buf[q.at+4 : q.at+4+n]
	q.at += 4 + n
	if q.frames--; q.frames == 0 {
		q.buf, q.at = q.buf[:0], 0
	}
	return f
}
