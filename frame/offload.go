// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame

import "encoding/binary"

const (
	// OffloadLen is the length of an offload header.
	OffloadLen = 10

	// MaxOffload is the length of the longest frame that may follow an offload
	// header which asks for segmentation: with the header, 64 KiB.
	MaxOffload = 1<<16 - OffloadLen
)

// Flags of an [Offload].
const (
	// OffloadNeedsChecksum: the checksum at CsumStart + CsumOffset holds the sum
	// of the pseudo-header only. It is to be completed over all from CsumStart
	// before anybody sees the frame who has not agreed to do without.
	OffloadNeedsChecksum = 1

	// OffloadChecksumValid: the checksum was verified, or need not be.
	OffloadChecksumValid = 2
)

// Kinds of segmentation, the GSOType of an [Offload].
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOTCPv6 = 4
)

// An Offload says what was left undone about the frame it precedes, because the
// other side agreed to do it or to do without. The zero value says: nothing.
//
// It is the header of virtio-net (Virtual I/O Device 1.2, section 5.1.6, struct
// virtio_net_hdr without num_buffers), which also precedes the frames of tap
// devices and packet sockets that were asked for it.
type Offload struct {
	Flags      uint8  // OffloadNeedsChecksum, OffloadChecksumValid
	GSOType    uint8  // GSONone, or what the frame is to be segmented into
	HdrLen     uint16 // bytes of Ethernet, IP and TCP header, to be repeated in each segment
	GSOSize    uint16 // bytes of payload in each segment but the last
	CsumStart  uint16 // from the beginning of the frame to where the sum begins
	CsumOffset uint16 // from there to the checksum
}

// Put writes o to the first OffloadLen bytes of b, little-endian.
func (o Offload) Put(b []byte) {
	_ = b[OffloadLen-1]
	b[0], b[1] = o.Flags, o.GSOType
	binary.LittleEndian.PutUint16(b[2:], o.HdrLen)
	binary.LittleEndian.PutUint16(b[4:], o.GSOSize)
	binary.LittleEndian.PutUint16(b[6:], o.CsumStart)
	binary.LittleEndian.PutUint16(b[8:], o.CsumOffset)
}

// ParseOffload returns the header at the beginning of b. The error is [ErrShort]
// if there is no whole one. Whether the frame behind it is what the header says
// has not been looked at.
func ParseOffload(b []byte) (Offload, error) {
	if len(b) < OffloadLen {
		return Offload{}, ErrShort
	}
	return Offload{
		Flags: b[0], GSOType: b[1],
		HdrLen:     binary.LittleEndian.Uint16(b[2:]),
		GSOSize:    binary.LittleEndian.Uint16(b[4:]),
		CsumStart:  binary.LittleEndian.Uint16(b[6:]),
		CsumOffset: binary.LittleEndian.Uint16(b[8:]),
	}, nil
}
