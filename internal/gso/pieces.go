// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import "github.com/go-vde/sdk/frame"

// Length returns the length of a frame in pieces.
func Length(pieces [][]byte) (n int) {
	for _, p := range pieces {
		n += len(p)
	}
	return n
}

// Gather copies the beginning of a frame in pieces to dst and returns how much
// there was.
func Gather(dst []byte, pieces [][]byte) (n int) {
	for _, p := range pieces {
		n += copy(dst[n:], p)
		if n == len(dst) {
			break
		}
	}
	return n
}

// appendFrom appends to dst what is left of pieces without their first skip
// bytes. Pieces without bytes are left out.
func appendFrom(dst, pieces [][]byte, skip int) [][]byte {
	for _, p := range pieces {
		k := min(skip, len(p))
		skip -= k
		if k < len(p) {
			dst = append(dst, p[k:])
		}
	}
	return dst
}

// Behind stores in dst what is left of each of bufs behind an offload header, to
// receive an ordinary frame there, and returns dst[:len(bufs)]. [PutNothing]
// completes them.
func Behind(dst, bufs [][]byte) [][]byte {
	dst = dst[:len(bufs)]
	for i, b := range bufs {
		dst[i] = b[min(frame.VNetHeaderLen, len(b)):]
	}
	return dst
}

// PutNothing puts a header that says nothing before each of the frames that were
// received behind room for it, as [Behind] left it, and adds it to sizes. Empty
// datagrams are none and stay empty.
func PutNothing(bufs [][]byte, sizes []int) {
	for i, b := range bufs {
		clear(b[:min(frame.VNetHeaderLen, len(b))])
		if sizes[i] > 0 {
			sizes[i] += frame.VNetHeaderLen
		}
	}
}
