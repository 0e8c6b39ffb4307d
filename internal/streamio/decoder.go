// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import "github.com/go-vde/sdk/frame"

// readBuffer is how much is read from the stream at once.
const readBuffer = 256 << 10

// A decoder finds the frames in what was read from a stream.
type decoder struct {
	framing *Framing
	buf     []byte // made at the first room
	r, w    int    // buf[r:w] was read and not returned yet
}

// next returns the next frame, which is lent until room is called. It is not ok as
// long as more must be read. After an error nothing can be found any more.
func (d *decoder) next() (f []byte, h frame.VNetHeader, ok bool, err error) {
	have, header := d.w-d.r, d.framing.HeaderLen
	if have < header {
		return nil, h, false, nil
	}
	size, h := d.framing.Get(d.buf[d.r:d.w])
	if size < 0 || size > d.framing.MaxSize {
		return nil, h, false, &FramingError{d.framing, size}
	}
	if have < header+size {
		return nil, h, false, nil
	}
	f = d.buf[d.r+header : d.r+header+size]
	d.r += header + size
	return f, h, true, nil
}

// room returns where to read to; read says how much that was. It may be called when
// next has not found a frame: what is kept is the beginning of one.
func (d *decoder) room() []byte {
	if d.buf == nil {
		d.buf = make([]byte, readBuffer)
	}
	d.w = copy(d.buf, d.buf[d.r:d.w])
	d.r = 0
	return d.buf[d.w:]
}

func (d *decoder) read(n int) { d.w += n }

// partial reports whether the beginning of a frame is left.
func (d *decoder) partial() bool { return d.w > d.r }
