// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package peer is what the endpoints of a benchmark do, in this process and in
// others: send frames and mark their end, count them, answer them, and time the
// answers.
package peer

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A frame of a benchmark is an Ethernet header, the number of the run and the
// number of the frame, and zeros. Data and markers differ in the last byte of the
// EtherType, which is all that a receiver looks at.
const (
	typeAt   = 12
	kindAt   = 13
	runAt    = 14
	numberAt = 22

	kindData   = 0xb5 // 0x88b5 and 0x88b6 are for local experiments
	kindMarker = 0xb6

	// MinSize is the length of a marker and the shortest frame that Ethernet
	// hardware sends, without the check sequence, which VDE leaves away.
	MinSize = 60
)

// A MAC is an Ethernet address.
type MAC = [6]byte

// Addresses of the two endpoints.
var (
	A         = MAC{2, 0, 0, 0, 0, 0xa}
	B         = MAC{2, 0, 0, 0, 0, 0xb}
	Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// newFrame returns a frame of the given length, at least 30 bytes.
func newFrame(dst, src MAC, kind byte, size int) []byte {
	f := make([]byte, size)
	copy(f, dst[:])
	copy(f[6:], src[:])
	f[typeAt], f[kindAt] = 0x88, kind
	return f
}

// Marker returns the frame that ends a run. Markers of run 0 end none; an endpoint
// says with one where it is.
func Marker(dst, src MAC, run uint64) []byte {
	f := newFrame(dst, src, kindMarker, MinSize)
	binary.BigEndian.PutUint64(f[runAt:], run)
	return f
}

// markerOf returns the run that f ends, if it is a marker.
func markerOf(f []byte) (run uint64, ok bool) {
	if len(f) < numberAt || f[kindAt] != kindMarker {
		return 0, false
	}
	return binary.BigEndian.Uint64(f[runAt:]), true
}

// imix is the "simple IMIX": IP packets of 40, 576 and 1500 bytes in the
// proportion 7:4:1, here with the Ethernet header and padding, without check
// sequence. A tester's "64, 594 and 1518" are the same frames with it.
var imix = []int{60, 590, 60, 60, 590, 60, 60, 590, 60, 590, 60, 1514}

// Sizes returns the lengths that a name stands for: a number of bytes, or "imix".
func Sizes(name string) ([]int, error) {
	if name == "imix" {
		return imix, nil
	}
	n, err := strconv.Atoi(name)
	if err != nil || n < MinSize || n > 65535 {
		return nil, fmt.Errorf("frame size %q: want imix or a number from %d to 65535", name, MinSize)
	}
	return []int{n}, nil
}

// A Load is frames to send, over and over again.
type Load struct {
	frames [][]byte
	batch  int
	next   int
}

// NewLoad returns frames of the given sizes, which Next hands out in batches.
func NewLoad(sizes []int, batch int, dst, src MAC) *Load {
	l := &Load{batch: batch}
	// The batches have to come out even over the pattern of sizes.
	for n := range batch * len(sizes) / gcd(batch, len(sizes)) {
		l.frames = append(l.frames, newFrame(dst, src, kindData, sizes[n%len(sizes)]))
	}
	return l
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Max returns the length of the longest frame.
func (l *Load) Max() int {
	return len(slices.MaxFunc(l.frames, func(a, b []byte) int { return len(a) - len(b) }))
}

// Rewind lets the next frame be the first.
func (l *Load) Rewind() { l.next = 0 }

// Next returns the next frames, no more than a batch and no more than limit. They
// belong to the load.
func (l *Load) Next(limit int) [][]byte {
	if l.next == len(l.frames) {
		l.next = 0
	}
	n := min(l.batch, limit, len(l.frames)-l.next)
	fs := l.frames[l.next : l.next+n]
	l.next += n
	return fs
}

// markEvery is how long a sender waits for the receiver to have seen the marker
// before it sends another one.
const markEvery = time.Millisecond
