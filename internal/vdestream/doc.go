// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vdestream carries Ethernet frames over a byte stream in the format of
// vde_plug, dpipe and wirefilter: each frame behind its length in two bytes, most
// significant first. The source is docs/spec/vnl.md, section 6.
//
//	l, err := vdestream.New(vdestream.Pipes{In: in, Out: out, Closer: process}, vdestream.Config{})
//
// A [Decoder] and an [Encoder] are the two directions by themselves. The format has
// no mark by which a reader could find the next length, so a length that cannot be
// ends the stream.
package vdestream

const (
	// MaxLen is the length of the longest frame that the format can carry.
	MaxLen = 1<<16 - 1

	// DefaultLimit is the length of the longest frame that vde_plug accepts. Older
	// programs, such as wirefilter, accept 1521 bytes.
	DefaultLimit = 9236

	// headerLen is the length of a length.
	headerLen = 2
)
