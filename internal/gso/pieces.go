// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

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

// appendPieces appends to dst those pieces that have bytes.
func appendPieces(dst, pieces [][]byte) [][]byte {
	for _, p := range pieces {
		if len(p) > 0 {
			dst = append(dst, p)
		}
	}
	return dst
}
