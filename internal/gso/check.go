// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"encoding/binary"
	"errors"

	"github.com/go-vde/sdk/frame"
)

// What can be wrong with a frame. They are made once, because whoever sends such
// frames may send many.
var (
	errFlags    = errors.New("unknown flags in the virtio-net header")
	errKind     = errors.New("segmentation of an unknown kind")
	errLong     = errors.New("longer than any frame to segment")
	errHeaders  = errors.New("headers are cut off or not those of TCP or UDP over IP")
	errFragment = errors.New("a fragment has no checksum to complete")
	errLength   = errors.New("the length in the IP or UDP header is not the frame's")
	errVersion  = errors.New("segmentation for the other version of IP")
	errNotTCP   = errors.New("segmentation of what is not TCP")
	errNotUDP   = errors.New("segmentation of what is not UDP")
	errTunnel   = errors.New("segmentation of what is in a tunnel")
	errSYN      = errors.New("segmentation of a segment that opens a connection")
	errSize     = errors.New("segments without payload")
	errChecksum = errors.New("the checksum is not where that of TCP or UDP is")
	errNoSum    = errors.New("segmentation without a checksum to complete")
	errTags     = errors.New("more VLAN tags than anybody uses")
)

// ErrSegments says that a GSO frame would become more than [frame.MaxGSOSegments]
// frames, or frames with less than [frame.MinGSOSize] bytes of payload.
var ErrSegments = errors.New("too many segments, or too short ones")

const (
	protoTCP = 6
	protoUDP = 17

	ipv4Len = 20 // without options
	ipv6Len = 40
	tcpLen  = 20 // without options
	udpLen  = 8

	tcpSum = 16 // from the header's beginning to its checksum
	udpSum = 6

	// maxTags is how many VLAN tags a frame may come with, as many as Linux looks
	// behind. A switch may have added one more when it is cut.
	maxTags = 8
)

// A layout says where the parts of a frame are.
type layout struct {
	tags  int // VLAN tags
	ip    int // the IP header
	l4    int // the header of TCP or UDP
	data  int // the payload
	end   int // the end of the IP packet; what follows is padding
	v6    bool
	proto uint8
}

// Check returns nil if f is what o says, and otherwise what is wrong. o may say
// nothing, or that it was verified, of any frame; that a checksum is missing, of
// TCP or UDP over IPv4 or IPv6 not in fragments, and of TCP or UDP in whatever IP
// carries; and that it is to be segmented, of TCP over IPv4 or IPv6 without
// extension headers. VLAN tags may precede. f may hold anything.
//
// GSO frames of UDP are only for those that have agreed to them: [AcceptUSO].
func Check(o frame.VNetHeader, f []byte) error {
	_, err := Accept(o, f, len(f))
	return err
}

// MaxHead is the most that [Accept] needs of a frame: Ethernet with all tags, IPv4
// and TCP with all the options they can have.
const MaxHead = frame.HeaderLen + (maxTags+1)*frame.TagLen + 60 + 60

// CheckHead is [Check] for a frame of n bytes of which head is the beginning:
// all of it, or at least MaxHead bytes.
func CheckHead(o frame.VNetHeader, head []byte, n int) error {
	_, err := Accept(o, head, n)
	return err
}

// Accept is [CheckHead] that returns o with HdrLen as it is in the frame, and the
// fields that mean nothing made zero, so that nothing of a stranger's choice goes on
// to others. HdrLen is not looked at: it is a hint (Virtual I/O Device 1.2, section
// 5.1.6.2.2).
func Accept(o frame.VNetHeader, head []byte, n int) (frame.VNetHeader, error) {
	if o.GSOType == frame.GSOUDP {
		return o, errKind
	}
	return AcceptUSO(o, head, n)
}

// AcceptUSO is Accept that takes GSO frames of UDP too, within the same bounds.
func AcceptUSO(o frame.VNetHeader, head []byte, n int) (frame.VNetHeader, error) {
	switch {
	case o.Flags&^(frame.VNetNeedsChecksum|frame.VNetDataValid) != 0:
		return o, errFlags
	case o.GSOType == frame.GSONone && o.Flags&frame.VNetNeedsChecksum == 0:
		return frame.VNetHeader{Flags: o.Flags}, nil
	case n > frame.MaxGSO:
		return o, errLong
	case o.Flags&frame.VNetNeedsChecksum == 0:
		return o, errNoSum
	}
	l, err := parseIP(head, n)
	switch {
	case err != nil:
		return o, err
	case l.tags > maxTags:
		return o, errTags
	case int(o.CsumStart) > l.l4:
		return acceptNested(o, l)
	}
	if err := l.parseTransport(head); err != nil {
		return o, err
	}
	sum := tcpSum
	if l.proto == protoUDP {
		sum = udpSum
	}
	if int(o.CsumStart) != l.l4 || int(o.CsumOffset) != sum {
		return o, errChecksum
	}
	if o.GSOType == frame.GSONone {
		o.HdrLen, o.GSOSize = 0, 0
		return o, nil
	}
	o.HdrLen = uint16(l.data)
	return o, checkSegmentation(o, head, n, l)
}

// acceptNested is Accept for a checksum behind the header that follows that of IP:
// of what a tunnel carries, or behind extension headers. Where exactly cannot be
// verified. As the device of the specification does, the sum is completed where o
// says, over the rest of the packet.
func acceptNested(o frame.VNetHeader, l layout) (frame.VNetHeader, error) {
	least := tcpLen
	if o.CsumOffset == udpSum {
		least = udpLen
	}
	switch {
	case o.GSOType != frame.GSONone:
		return o, errTunnel
	case o.CsumOffset != tcpSum && o.CsumOffset != udpSum, int(o.CsumStart)+least > l.end:
		return o, errChecksum
	}
	o.HdrLen, o.GSOSize = 0, 0
	return o, nil
}

// checkSegmentation is the part of Accept that is about segmentation.
func checkSegmentation(o frame.VNetHeader, head []byte, n int, l layout) error {
	switch udp := o.GSOType == frame.GSOUDP; {
	case udp && l.proto != protoUDP:
		return errNotUDP
	case udp:
	case o.GSOType != frame.GSOTCPv4 && o.GSOType != frame.GSOTCPv6:
		return errKind
	case l.v6 != (o.GSOType == frame.GSOTCPv6):
		return errVersion
	case l.proto != protoTCP:
		return errNotTCP
	case head[l.l4+13]&flagSYN != 0:
		return errSYN
	}
	switch {
	case o.GSOSize == 0:
		return errSize
	case l.end != n:
		return errLength // each byte behind the headers is payload
	case o.GSOSize < frame.MinGSOSize || n-l.data > frame.MaxGSOSegments*int(o.GSOSize):
		return ErrSegments
	}
	return nil
}

// parse finds the parts of a frame of n bytes that begins with f, which may hold
// anything.
func parse(f []byte, n int) (l layout, err error) {
	if l, err = parseIP(f, n); err != nil {
		return l, err
	}
	return l, l.parseTransport(f)
}

// parseIP is parse up to the end of the IP header.
func parseIP(f []byte, n int) (l layout, err error) {
	at := frame.HeaderLen
	for ; ; l.tags++ {
		if len(f) < at {
			return l, errHeaders
		}
		t := frame.EtherType(binary.BigEndian.Uint16(f[at-2:]))
		if t == frame.EtherTypeIPv4 || t == frame.EtherTypeIPv6 {
			l.v6 = t == frame.EtherTypeIPv6
			break
		}
		if !t.IsTag() || l.tags > maxTags {
			return l, errHeaders
		}
		at += frame.TagLen
	}
	l.ip, l.end = at, n
	if l.v6 {
		return l, l.parseIPv6(f[at:])
	}
	return l, l.parseIPv4(f[at:])
}

// parseIPv4 sets l4, end, which was the frame's, and proto; p begins with the IP
// header.
func (l *layout) parseIPv4(p []byte) error {
	if len(p) < ipv4Len || p[0]>>4 != 4 {
		return errHeaders
	}
	hdr, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	switch {
	case hdr < ipv4Len || hdr > total:
		return errHeaders
	case total > l.end-l.ip:
		return errLength
	case binary.BigEndian.Uint16(p[6:])&0x3fff != 0: // more fragments, offset
		return errFragment
	}
	l.l4, l.end, l.proto = l.ip+hdr, l.ip+total, p[9]
	return nil
}

// parseIPv6 is parseIPv4 for the other version.
func (l *layout) parseIPv6(p []byte) error {
	if len(p) < ipv6Len || p[0]>>4 != 6 {
		return errHeaders
	}
	l4 := l.ip + ipv6Len
	payload := int(binary.BigEndian.Uint16(p[4:]))
	if payload > l.end-l4 {
		return errLength
	}
	l.l4, l.end, l.proto = l4, l4+payload, p[6]
	return nil
}

// parseTransport finds the end of the header of TCP or UDP.
func (l *layout) parseTransport(f []byte) error {
	size := l.end - l.l4
	switch {
	case l.proto == protoTCP && size >= tcpLen && len(f) >= l.l4+tcpLen:
		hdr := int(f[l.l4+12]>>4) * 4
		if hdr < tcpLen || hdr > size || len(f) < l.l4+hdr {
			return errHeaders
		}
		l.data = l.l4 + hdr
		return nil
	case l.proto == protoUDP && size >= udpLen && len(f) >= l.l4+udpLen:
		if int(binary.BigEndian.Uint16(f[l.l4+4:])) != size {
			return errLength
		}
		l.data = l.l4 + udpLen
		return nil
	}
	return errHeaders
}
