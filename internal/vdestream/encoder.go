// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdestream

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"syscall"
)

// An Encoder writes frames. One goroutine uses it at a time.
type Encoder struct {
	w         io.Writer
	writeSize int
	buf       []byte
}

// DefaultWriteSize is the largest number of bytes that a pipe takes whole or not at
// all (PIPE_BUF).
const DefaultWriteSize = 4096

// NewEncoder returns an Encoder that writes to w. See [Config.WriteSize].
func NewEncoder(w io.Writer, writeSize int) *Encoder { return &Encoder{w: w, writeSize: writeSize} }

// WriteFrames writes frames in order, as many with one write as its size allows. n
// is how many were written whole; if these are fewer than all, err says why, and the
// stream cannot be used any more if a part of the next one was written.
func (e *Encoder) WriteFrames(frames [][]byte) (n int, err error) {
	for n < len(frames) {
		e.buf = e.buf[:0]
		end := n
		for ; end < len(frames); end++ {
			f := frames[end]
			if len(f) > MaxLen {
				err = tooLong(len(f), MaxLen)
				break
			}
			if end > n && len(e.buf)+headerLen+len(f) > e.writeSize {
				break
			}
			e.buf = append(binary.BigEndian.AppendUint16(slices.Grow(e.buf, headerLen+len(f)), uint16(len(f))), f...)
		}
		if end > n {
			written, e := e.w.Write(e.buf)
			for ; n < end && written >= headerLen+len(frames[n]); n++ {
				written -= headerLen + len(frames[n])
			}
			if e == nil && n < end {
				e = io.ErrShortWrite
			}
			if e != nil {
				return n, e
			}
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// tooLong returns the error of a frame that is too long to send.
func tooLong(n, limit int) error {
	return fmt.Errorf("a frame of %d bytes is too long for a stream that takes %d: %w", n, limit, syscall.EMSGSIZE)
}
