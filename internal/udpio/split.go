// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import "encoding/binary"

// The numbers of Linux that Split reads.
const (
	solUDP = 17
	udpGRO = 104
)

// segmentSize returns the size of the datagrams that a received message consists of,
// as its control message of UDP_GRO says, or 0 if it is one datagram. align is the
// size of a pointer, which the lengths of control messages are rounded up to, and
// whose size the length in their header has.
func segmentSize(control []byte, align int) int {
	header := align + 8
	for len(control) >= header {
		var size uint64
		if align == 8 {
			size = binary.NativeEndian.Uint64(control)
		} else {
			size = uint64(binary.NativeEndian.Uint32(control))
		}
		if size < uint64(header) || size > uint64(len(control)) {
			return 0
		}
		level := binary.NativeEndian.Uint32(control[align:])
		kind := binary.NativeEndian.Uint32(control[align+4:])
		if level == solUDP && kind == udpGRO && size >= uint64(header)+4 {
			return max(0, int(int32(binary.NativeEndian.Uint32(control[header:]))))
		}
		next := (int(size) + align - 1) &^ (align - 1)
		if next >= len(control) {
			return 0
		}
		control = control[next:]
	}
	return 0
}

// A joined is a message that consists of datagrams of one size, the last of which
// may be shorter. An empty message is one empty datagram.
type joined struct {
	data []byte
	size int // of the datagrams
	more bool
}

// set makes data the message.
func (j *joined) set(data []byte, size int) {
	if size <= 0 || size > len(data) {
		size = len(data)
	}
	*j = joined{data, size, true}
}

// next returns the next datagram; more must be true before.
func (j *joined) next() (d []byte) {
	d = j.data[:min(j.size, len(j.data))]
	j.data = j.data[len(d):]
	j.more = len(j.data) > 0
	return d
}

// count returns how many datagrams are left.
func (j *joined) count() int {
	switch {
	case !j.more:
		return 0
	case len(j.data) == 0:
		return 1
	}
	return (len(j.data) + j.size - 1) / j.size
}
