// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame

import "encoding/binary"

const (
	// VNetHeaderLen is the length in bytes of a [VNetHeader] on the wire.
	VNetHeaderLen = 10

	// MaxGSO is the length in bytes of the longest frame that a [VNetHeader]
	// may ask to segment: with the header, 64 KiB.
	MaxGSO = 1<<16 - VNetHeaderLen

	// MinGSOSize is the least [VNetHeader.GSOSize], as with Linux: what is left for
	// payload of the shortest TCP segment, of 48 bytes, with all options.
	MinGSOSize = 8

	// MaxGSOSegments is the most frames that a GSO frame may become. It lets 64 KiB
	// be cut for an MTU of 296, and keeps one frame from being the work of tens of
	// thousands.
	MaxGSOSegments = 256
)

// Flags of a [VNetHeader].
const (
	// VNetNeedsChecksum says that the checksum at CsumStart + CsumOffset holds
	// the sum of the pseudo-header only. It must be completed over all bytes
	// from CsumStart on before a receiver that has not agreed to do without it
	// gets the frame.
	VNetNeedsChecksum = 1

	// VNetDataValid says that the checksum was verified, or need not be.
	VNetDataValid = 2
)

// Kinds of segmentation, the GSOType of a [VNetHeader].
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOTCPv6 = 4
	GSOUDP   = 5 // datagrams over IPv4 or IPv6 (VIRTIO_NET_HDR_GSO_UDP_L4), not fragments
)

// A VNetHeader is the virtio-net header: the offload metadata of one frame. It
// says that a checksum is partial, or that the frame is a GSO frame, which must
// be segmented before it reaches a receiver that has not agreed to take it
// whole. The zero value describes an ordinary frame.
//
// In this SDK it travels beside the frame. On the wire it is struct
// virtio_net_hdr without num_buffers (Virtual I/O Device 1.2, section 5.1.6),
// which also precedes the frames of tap devices and packet sockets with
// IFF_VNET_HDR.
//
// HdrLen need not be right in a frame that is sent: Linux puts there how much of
// the frame it happens to have in one piece. It is right in one that is received.
type VNetHeader struct {
	Flags      uint8  // VNetNeedsChecksum, VNetDataValid
	GSOType    uint8  // GSONone, or the kind of segmentation
	HdrLen     uint16 // bytes of Ethernet, IP and TCP or UDP header, repeated in each segment; from others a hint
	GSOSize    uint16 // bytes of payload in each segment but the last
	CsumStart  uint16 // from the beginning of the frame to the first byte summed
	CsumOffset uint16 // from there to the checksum
}

// IsZero reports whether h describes an ordinary frame.
func (h VNetHeader) IsZero() bool { return h == VNetHeader{} }

// Partial reports whether the frame is unfinished: its checksum is partial or it
// is a GSO frame.
func (h VNetHeader) Partial() bool {
	return h.Flags&VNetNeedsChecksum != 0 || h.GSOType != GSONone
}

// Put writes h to the first VNetHeaderLen bytes of b, little-endian.
func (h VNetHeader) Put(b []byte) {
	_ = b[VNetHeaderLen-1]
	b[0], b[1] = h.Flags, h.GSOType
	binary.LittleEndian.PutUint16(b[2:], h.HdrLen)
	binary.LittleEndian.PutUint16(b[4:], h.GSOSize)
	binary.LittleEndian.PutUint16(b[6:], h.CsumStart)
	binary.LittleEndian.PutUint16(b[8:], h.CsumOffset)
}

// ParseVNetHeader returns the header at the beginning of b. The error is
// [ErrShort] if b is shorter than VNetHeaderLen. Whether the frame agrees with
// the header is not checked.
func ParseVNetHeader(b []byte) (VNetHeader, error) {
	if len(b) < VNetHeaderLen {
		return VNetHeader{}, ErrShort
	}
	return VNetHeader{
		Flags: b[0], GSOType: b[1],
		HdrLen:     binary.LittleEndian.Uint16(b[2:]),
		GSOSize:    binary.LittleEndian.Uint16(b[4:]),
		CsumStart:  binary.LittleEndian.Uint16(b[6:]),
		CsumOffset: binary.LittleEndian.Uint16(b[8:]),
	}, nil
}
