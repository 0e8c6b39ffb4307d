// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"encoding/binary"
	"slices"

	"github.com/go-vde/sdk/frame"
)

// Flags of TCP.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagPSH = 0x08
	flagCWR = 0x80
)

// Count returns how many ordinary frames f becomes, which has passed [Check].
func Count(o frame.VNetHeader, f []byte) int {
	if o.GSOType == frame.GSONone {
		return 1
	}
	l, err := parse(f, len(f))
	size := int(o.GSOSize)
	if err != nil || size == 0 {
		return 0 // it has not passed Check
	}
	return max(1, (len(f)-l.data+size-1)/size)
}

// Longest returns the length of the longest ordinary frame that a frame of n
// bytes becomes; o is what [Accept] returned.
func Longest(o frame.VNetHeader, n int) int {
	if o.GSOType == frame.GSONone {
		return n
	}
	return min(n, int(o.HdrLen)+int(o.GSOSize))
}

// A Segmenter cuts a long TCP segment, or UDP datagrams that came together, into
// frames, as the kernel and network cards do: each has the headers of the whole with
// its own lengths, IPv4 identification, sequence number, flags and checksums.
//
// A Segmenter must not be copied.
type Segmenter struct {
	headers []byte // of the whole; lent
	l       layout
	size    int      // of the payload of each segment but the last
	left    int      // bytes of payload that are left
	pieces  [][]byte // they begin with what is left; lent
	base    uint64   // the sum of the pseudo-header without the length
	seq     uint32   // of the next segment
	id      uint16   // of the next segment
	first   bool
	done    bool

	one [1][]byte // of Reset
	cut []byte    // of NextCut
}

// Reset begins with f, which has passed [Check] and is to be segmented. It is
// lent until Next has returned false or Reset is called again, and not modified.
func (s *Segmenter) Reset(o frame.VNetHeader, f []byte) {
	l, _ := parse(f, len(f)) // fails only if it has not passed Check
	s.one[0] = f[l.data:]
	s.ResetPieces(o, f[:l.data], s.one[:], len(f))
}

// ResetPieces is Reset for a frame of n bytes whose headers are apart from the
// pieces of its payload. Elements of pieces are changed.
func (s *Segmenter) ResetPieces(o frame.VNetHeader, headers []byte, pieces [][]byte, n int) {
	l, err := parse(headers, n)
	if err != nil || o.GSOSize == 0 {
		s.done = true // it has not passed Check
		return
	}
	s.headers, s.pieces, s.l = headers, pieces, l
	s.size, s.left = int(o.GSOSize), n-len(headers)
	s.base = pseudo(headers, l)
	s.seq = binary.BigEndian.Uint32(headers[l.l4+4:])
	s.first, s.done = true, false
	if !l.v6 {
		s.id = binary.BigEndian.Uint16(headers[l.ip+4:])
	}
}

// Size returns the length of the next frame, if there is one.
func (s *Segmenter) Size() int { return len(s.headers) + min(s.size, s.left) }

// Next writes the next frame, complete, to the front of dst, which has room for
// headers and payload of one segment, and returns its length. ok is false when
// there are no more.
func (s *Segmenter) Next(dst []byte) (n int, ok bool) {
	if s.done {
		return 0, false
	}
	n = s.Size()
	size := n - len(s.headers)
	dst = dst[:n]
	copy(dst, s.headers)
	s.take(dst[len(s.headers):])
	s.left -= size
	s.done = s.left == 0

	l := &s.l
	ip, l4 := dst[l.ip:l.l4], dst[l.l4:]
	if l.v6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(len(l4)))
	} else {
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)+len(l4)))
		binary.BigEndian.PutUint16(ip[4:], s.id)
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^fold(sum(0, ip)))
	}
	if l.proto == protoUDP {
		s.putUDP(l4)
	} else {
		s.putTCP(l4)
	}

	s.seq += uint32(size)
	s.id++
	s.first = false
	if s.done {
		s.headers, s.pieces, s.one[0] = nil, nil, nil
	}
	return n, true
}

// NextCut is Next for a dst that may be too short: the end of the frame is cut off then,
// as n tells.
func (s *Segmenter) NextCut(dst []byte) (n int, ok bool) {
	if s.Left() == 0 {
		return 0, false
	}
	if n = s.Size(); n <= len(dst) {
		return s.Next(dst)
	}
	s.cut = slices.Grow(s.cut[:0], n)[:n]
	n, ok = s.Next(s.cut)
	copy(dst, s.cut[:n])
	return n, ok
}

// Left returns how many frames Next has still to give.
func (s *Segmenter) Left() int {
	if s.done || s.headers == nil {
		return 0
	}
	return max(1, (s.left+s.size-1)/s.size)
}

// putUDP finishes the header of a datagram.
func (s *Segmenter) putUDP(udp []byte) {
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	binary.BigEndian.PutUint16(udp[udpSum:], 0)
	check := ^fold(sum(word(s.base, uint16(len(udp))), udp))
	if check == 0 {
		check = 0xffff // 0 says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(udp[udpSum:], check)
}

// putTCP finishes the header of a segment.
func (s *Segmenter) putTCP(tcp []byte) {
	binary.BigEndian.PutUint32(tcp[4:], s.seq)
	if !s.first {
		tcp[13] &^= flagCWR
	}
	if !s.done {
		tcp[13] &^= flagFIN | flagPSH
	}
	binary.BigEndian.PutUint16(tcp[tcpSum:], 0)
	binary.BigEndian.PutUint16(tcp[tcpSum:], ^fold(sum(word(s.base, uint16(len(tcp))), tcp)))
}

// take fills dst with payload.
func (s *Segmenter) take(dst []byte) {
	for len(dst) > 0 {
		n := copy(dst, s.pieces[0])
		dst = dst[n:]
		if n == len(s.pieces[0]) {
			s.pieces = s.pieces[1:]
		} else {
			s.pieces[0] = s.pieces[0][n:]
		}
	}
}

// Segments returns the frames that the GSO frame f becomes, which has passed
// [Check], each in memory of its own.
func Segments(o frame.VNetHeader, f []byte) (frames [][]byte) {
	var s Segmenter
	s.Reset(o, f)
	for !s.done {
		dst := make([]byte, s.Size())
		s.Next(dst)
		frames = append(frames, dst)
	}
	return frames
}
