// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"

	"github.com/go-vde/sdk/frame"
)

// An outgoing is frames to send, whole or in pieces.
type outgoing struct {
	frames [][]byte
	pieces []net.Buffers
	headed bool // they begin with an offload header, and are at least as long
}

func (o *outgoing) len() int { return len(o.frames) + len(o.pieces) }

// size returns the length of frame i, without a header.
func (o *outgoing) size(i int) (n int) {
	if o.pieces == nil {
		n = len(o.frames[i])
	} else {
		for _, b := range o.pieces[i] {
			n += len(b)
		}
	}
	if o.headed {
		n -= frame.VNetHeaderLen
	}
	return n
}

// put puts frame i, of n bytes, into the ring.
func (o *outgoing) put(p *producer, i, n int) {
	var one [1][]byte
	pieces := net.Buffers(one[:])
	if o.pieces == nil {
		one[0] = o.frames[i]
	} else {
		pieces = o.pieces[i]
	}
	var off frame.VNetHeader
	skip := 0
	if o.headed {
		off = headerOf(pieces)
		skip = frame.VNetHeaderLen
	}
	p.begin(n, off)
	at := p.pos + slotHeader
	for _, b := range pieces {
		if skip > 0 {
			k := min(skip, len(b))
			skip -= k
			b = b[k:]
		}
		p.write(at, b)
		at += uint64(len(b))
	}
	p.pos += slotLen(n)
}

// headerOf returns the offload header at the beginning of pieces.
func headerOf(pieces net.Buffers) frame.VNetHeader {
	var b [frame.VNetHeaderLen]byte
	n := 0
	for _, p := range pieces {
		if n += copy(b[n:], p); n == len(b) {
			break
		}
	}
	off, _ := frame.ParseVNetHeader(b[:]) // it is long enough
	return off
}
