// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdestream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrLength is in the error of a stream on which a length came that no frame may
// have. Nothing after it can be read.
var ErrLength = errors.New("not a stream of frames, or out of step")

// A Decoder reads frames. What has come of a frame is kept, also when a read of the
// rest fails. One goroutine uses it at a time.
type Decoder struct {
	r          io.Reader
	limit      int
	buf        []byte // buf[start:end] has been read and not returned
	start, end int
	err        error // came with the last bytes
}

// bufferSize is how much a Decoder reads at once.
const bufferSize = 64 << 10

// maxEmptyReads is how many reads in a row may bring neither bytes nor an error.
const maxEmptyReads = 100

// NewDecoder returns a Decoder that reads from r, and takes frames of up to limit
// bytes.
func NewDecoder(r io.Reader, limit int) *Decoder {
	limit = min(limit, MaxLen)
	return &Decoder{r: r, limit: limit, buf: make([]byte, max(bufferSize, headerLen+limit))}
}

// ReadFrame waits for the next frame and copies it to the front of p. n is the
// length of the frame, more than len(p) if its end was cut off. Frames of length
// zero are skipped. The error is [io.EOF] at the end of a frame and
// [io.ErrUnexpectedEOF] within one, and matches [ErrLength] at a length above the
// limit, which every later call returns too.
func (d *Decoder) ReadFrame(p []byte) (n int, err error) {
	for n == 0 {
		if err := d.fill(headerLen); err != nil {
			return 0, err
		}
		n = int(binary.BigEndian.Uint16(d.buf[d.start:]))
		if n > d.limit {
			return 0, fmt.Errorf("a frame of %d bytes, %d are possible: %w", n, d.limit, ErrLength)
		}
		if err := d.fill(headerLen + n); err != nil {
			return 0, err
		}
		copy(p, d.buf[d.start+headerLen:d.start+headerLen+n])
		d.start += headerLen + n
	}
	return n, nil
}

// fill reads until n bytes are in the buffer, which has room for them.
func (d *Decoder) fill(n int) error {
	for empty := 0; d.end-d.start < n; {
		if err := d.err; err != nil {
			d.err = nil // of a deadline, after which reading may go on
			if err == io.EOF && d.end > d.start {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if d.start == d.end || d.start+n > len(d.buf) {
			d.end = copy(d.buf, d.buf[d.start:d.end])
			d.start = 0
		}
		var k int
		k, d.err = d.r.Read(d.buf[d.end:])
		d.end += k
		if empty++; k > 0 {
			empty = 0
		}
		if empty == maxEmptyReads {
			return io.ErrNoProgress
		}
	}
	return nil
}
