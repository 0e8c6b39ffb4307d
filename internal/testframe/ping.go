// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testframe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

const (
	etherTypeIPv4 = 0x0800
	etherTypeARP  = 0x0806

	arpRequest = 1
	arpReply   = 2

	icmpEchoReply   = 0
	icmpEchoRequest = 8
)

// ErrOtherProtocol is returned by the parsers for a frame of another protocol.
var ErrOtherProtocol = errors.New("testframe: a frame of another protocol")

// An ARP is an ARP request or reply for IPv4 on Ethernet.
type ARP struct {
	Reply     bool
	SenderMAC [6]byte
	SenderIP  netip.Addr
	TargetMAC [6]byte // zero in a request
	TargetIP  netip.Addr
}

// ARPRequest builds the frame with which a station asks for the owner of target.
func ARPRequest(mac [6]byte, ip, target netip.Addr) []byte {
	return ARP{SenderMAC: mac, SenderIP: ip, TargetIP: target}.Frame()
}

// Frame builds the frame that carries a: a request goes to everybody, a reply to its target.
func (a ARP) Frame() []byte {
	dst, op := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, byte(arpRequest)
	if a.Reply {
		dst, op = a.TargetMAC, arpReply
	}
	b := appendEthernet(make([]byte, 0, 42), dst, a.SenderMAC, etherTypeARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, op)
	b = append(b, a.SenderMAC[:]...)
	b = append(b, a.SenderIP.AsSlice()...)
	b = append(b, a.TargetMAC[:]...)
	return append(b, a.TargetIP.AsSlice()...)
}

// Answer returns the reply with which mac claims the address that request a asks for.
func (a ARP) Answer(mac [6]byte) ARP {
	return ARP{Reply: true, SenderMAC: mac, SenderIP: a.TargetIP, TargetMAC: a.SenderMAC, TargetIP: a.SenderIP}
}

// ParseARP reads an untagged ARP frame, padded or not.
func ParseARP(frame []byte) (ARP, error) {
	p, ok := etherPayload(frame, etherTypeARP)
	if !ok {
		return ARP{}, ErrOtherProtocol
	}
	if len(p) < 28 || [6]byte(p) != [6]byte{0, 1, 8, 0, 6, 4} || p[6] != 0 || p[7] != arpRequest && p[7] != arpReply {
		return ARP{}, fmt.Errorf("testframe: bad ARP packet % x", p)
	}
	return ARP{
		Reply:     p[7] == arpReply,
		SenderMAC: [6]byte(p[8:]), SenderIP: netip.AddrFrom4([4]byte(p[14:])),
		TargetMAC: [6]byte(p[18:]), TargetIP: netip.AddrFrom4([4]byte(p[24:])),
	}, nil
}

// An Echo is an ICMP echo request or reply in an IPv4 packet without options, not fragmented, on Ethernet.
type Echo struct {
	Reply    bool
	Src, Dst [6]byte
	From, To netip.Addr
	ID, Seq  uint16
	Data     []byte
}

// Frame builds the frame that carries e, checksums included.
func (e Echo) Frame() []byte {
	kind := byte(icmpEchoRequest)
	if e.Reply {
		kind = icmpEchoReply
	}
	b := appendEthernet(make([]byte, 0, 42+len(e.Data)), e.Dst, e.Src, etherTypeIPv4)
	ip := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(28+len(e.Data)))
	b = append(b, 0, 0, 0x40, 0, 64, 1, 0, 0) // no fragments, 64 hops, ICMP
	b = append(b, e.From.AsSlice()...)
	b = append(b, e.To.AsSlice()...)
	binary.BigEndian.PutUint16(b[ip+10:], checksum(b[ip:]))
	icmp := len(b)
	b = append(b, kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, e.ID)
	b = binary.BigEndian.AppendUint16(b, e.Seq)
	b = append(b, e.Data...)
	binary.BigEndian.PutUint16(b[icmp+2:], checksum(b[icmp:]))
	return b
}

// Answer returns the reply to request e.
func (e Echo) Answer() Echo {
	e.Reply = true
	e.Src, e.Dst = e.Dst, e.Src
	e.From, e.To = e.To, e.From
	return e
}

// ParseEcho reads an untagged frame with an ICMP echo request or reply, padded or not, and checks both checksums.
// The data shares memory with frame.
func ParseEcho(frame []byte) (Echo, error) {
	p, ok := etherPayload(frame, etherTypeIPv4)
	if !ok {
		return Echo{}, ErrOtherProtocol
	}
	if len(p) < 20 || p[0] != 0x45 {
		return Echo{}, fmt.Errorf("testframe: bad IPv4 header % x", p)
	}
	total := int(binary.BigEndian.Uint16(p[2:]))
	if total < 20 || total > len(p) || checksum(p[:20]) != 0 {
		return Echo{}, fmt.Errorf("testframe: bad IPv4 header % x", p[:20])
	}
	e := Echo{
		Dst: [6]byte(frame), Src: [6]byte(frame[6:]),
		From: netip.AddrFrom4([4]byte(p[12:])), To: netip.AddrFrom4([4]byte(p[16:])),
	}
	proto, fragment := p[9], binary.BigEndian.Uint16(p[6:])&0x3fff
	m := p[20:total]
	if proto != 1 || fragment != 0 || len(m) < 8 || m[0] != icmpEchoRequest && m[0] != icmpEchoReply {
		return Echo{}, ErrOtherProtocol
	}
	if m[1] != 0 || checksum(m) != 0 {
		return Echo{}, fmt.Errorf("testframe: bad ICMP packet % x", m)
	}
	e.Reply = m[0] == icmpEchoReply
	e.ID, e.Seq = binary.BigEndian.Uint16(m[4:]), binary.BigEndian.Uint16(m[6:])
	e.Data = m[8:]
	return e, nil
}

func appendEthernet(b []byte, dst, src [6]byte, etherType uint16) []byte {
	b = append(append(b, dst[:]...), src[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

func etherPayload(frame []byte, etherType uint16) ([]byte, bool) {
	if len(frame) < 14 || binary.BigEndian.Uint16(frame[12:]) != etherType {
		return nil, false
	}
	return frame[14:], true
}

// checksum is the Internet checksum (RFC 1071); over data that contains its own checksum it is 0.
func checksum(b []byte) uint16 {
	var sum uint32
	for len(b) >= 2 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
