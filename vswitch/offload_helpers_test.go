// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A headed is a frame and what its offload header says.
type headed struct {
	off  frame.VNetHeader
	data []byte
}

func (h headed) bytes() []byte {
	b := make([]byte, frame.VNetHeaderLen, frame.VNetHeaderLen+len(h.data))
	h.off.Put(b)
	return append(b, h.data...)
}

// ones is the sum of RFC 1071, word by word.
func ones(parts ...[]byte) uint16 {
	b := slices.Concat(parts...)
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	total := uint32(0)
	for i := 0; i < len(b); i += 2 {
		total += uint32(binary.BigEndian.Uint16(b[i:]))
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// ipAt returns where the IP header of f is.
func ipAt(f []byte) int {
	if f[12] == 0x81 && f[13] == 0 {
		return 18
	}
	return 14
}

// tcpOf returns where the TCP header and the payload of f are, and the
// pseudo-header.
func tcpOf(f []byte) (tcp, data int, pseudo []byte) {
	ip := ipAt(f)
	if f[ip]>>4 == 4 {
		tcp = ip + 20
		pseudo = append(pseudo, f[ip+12:ip+20]...)
	} else {
		tcp = ip + 40
		pseudo = append(pseudo, f[ip+8:ip+40]...)
	}
	n := len(f) - tcp
	return tcp, tcp + int(f[tcp+12]>>4)*4, append(pseudo, 0, 6, byte(n>>8), byte(n))
}

// setLengths writes the lengths into the headers of f, and their checksums but
// for TCP's, which becomes the sum of the pseudo-header.
func setLengths(f []byte) {
	ip := ipAt(f)
	if f[ip]>>4 == 4 {
		binary.BigEndian.PutUint16(f[ip+2:], uint16(len(f)-ip))
		binary.BigEndian.PutUint16(f[ip+10:], 0)
		binary.BigEndian.PutUint16(f[ip+10:], ^ones(f[ip:ip+20]))
	} else {
		binary.BigEndian.PutUint16(f[ip+4:], uint16(len(f)-ip-40))
	}
	tcp, _, pseudo := tcpOf(f)
	binary.BigEndian.PutUint16(f[tcp+16:], ones(pseudo))
}

// segment returns a TCP segment with payload, undone: its checksum is missing,
// and it is to be cut if it has more than mss bytes.
func segment(dst, src frame.MAC, v6 bool, seq uint32, payload []byte, mss int) headed {
	f := make([]byte, frame.HeaderLen)
	if v6 {
		frame.PutHeader(f, dst, src, frame.EtherTypeIPv6)
		ip := make([]byte, 40)
		ip[0], ip[6], ip[7] = 0x60, 6, 64
		ip[8], ip[23], ip[24], ip[39] = 0xfd, 1, 0xfd, 2
		f = append(f, ip...)
	} else {
		frame.PutHeader(f, dst, src, frame.EtherTypeIPv4)
		f = append(f, 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	}
	tcp := []byte{0x30, 0x39, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 5 << 4, 0x18, 0xff, 0xff, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(tcp[4:], seq)
	at := len(f)
	f = append(append(f, tcp...), payload...)
	setLengths(f)
	o := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: uint16(at), CsumOffset: 16}
	if len(payload) > mss {
		o.GSOType, o.HdrLen, o.GSOSize = frame.GSOTCPv4, uint16(at+20), uint16(mss)
		if v6 {
			o.GSOType = frame.GSOTCPv6
		}
	}
	return headed{o, f}
}

// withTag returns h with a tag in front of its type.
func withTag(h headed, tci uint16) headed {
	h.data = tagged(h.data, tci)
	if h.off.Flags&frame.VNetNeedsChecksum != 0 {
		h.off.CsumStart += 4
	}
	if h.off.GSOType != frame.GSONone {
		h.off.HdrLen += 4
	}
	return h
}

// ordinary returns what h becomes for who has not agreed to offloading, in the
// slow and obvious way.
func ordinary(h headed) (frames [][]byte) {
	if h.off.Flags&frame.VNetNeedsChecksum == 0 {
		return [][]byte{slices.Clone(h.data)}
	}
	tcp, data, _ := tcpOf(h.data)
	payload, mss := h.data[data:], int(h.off.GSOSize)
	if h.off.GSOType == frame.GSONone {
		mss = len(payload)
	}
	for i := 0; ; i++ {
		n := min(mss, len(payload))
		f := slices.Concat(h.data[:data], payload[:n])
		payload = payload[n:]
		last := len(payload) == 0
		if ip := ipAt(f); f[ip]>>4 == 4 {
			id := binary.BigEndian.Uint16(f[ip+4:])
			binary.BigEndian.PutUint16(f[ip+4:], id+uint16(i))
		}
		seq := binary.BigEndian.Uint32(f[tcp+4:])
		binary.BigEndian.PutUint32(f[tcp+4:], seq+uint32(i*mss))
		if !last {
			f[tcp+13] &^= 0x09
		}
		setLengths(f)
		sum := ^ones(f[tcp:])
		binary.BigEndian.PutUint16(f[tcp+16:], sum)
		frames = append(frames, f)
		if last {
			return frames
		}
	}
}

// payloadOf checks lengths and checksums of h as whoever gets it would, and
// returns its sequence number and what TCP carries.
func payloadOf(h headed) (seq uint32, payload []byte, err error) {
	f := h.data
	tcp, data, pseudo := tcpOf(f)
	ip := ipAt(f)
	if f[ip]>>4 == 4 {
		if n := int(binary.BigEndian.Uint16(f[ip+2:])); n != len(f)-ip || ones(f[ip:ip+20]) != 0xffff {
			return 0, nil, fmt.Errorf("IPv4 header % x of %d bytes", f[ip:ip+20], len(f)-ip)
		}
	} else if n := int(binary.BigEndian.Uint16(f[ip+4:])); n != len(f)-tcp {
		return 0, nil, fmt.Errorf("IPv6 header % x of %d bytes", f[ip:ip+40], len(f)-ip)
	}
	if h.off.Flags&frame.VNetNeedsChecksum != 0 {
		if int(h.off.CsumStart) != tcp || h.off.CsumOffset != 16 || binary.BigEndian.Uint16(f[tcp+16:]) != ones(pseudo) {
			return 0, nil, fmt.Errorf("checksum to be completed: %+v, % x", h.off, f[tcp:data])
		}
	} else if ones(pseudo, f[tcp:]) != 0xffff {
		return 0, nil, fmt.Errorf("wrong checksum: %+v, % x", h.off, f[tcp:data])
	}
	if h.off.GSOType != frame.GSONone && int(h.off.HdrLen) != data {
		return 0, nil, fmt.Errorf("headers of %d bytes: %+v", data, h.off)
	}
	return binary.BigEndian.Uint32(f[tcp+4:]), f[data:], nil
}

// An agreedPort is an in-process port whose frames have offload headers.
type agreedPort struct {
	tb testing.TB
	sw *vswitch.Switch
	c  *vde.Conn
	l  link.Link
}

func agree(tb testing.TB, sw *vswitch.Switch, c *vde.Conn) *agreedPort {
	p := &agreedPort{tb, sw, c, vswitch.LinkOf(sw, c)}
	p.l.(interface{ EnableOffload() }).EnableOffload()
	return p
}

// send sends frames and fails the test unless all are taken.
func (p *agreedPort) send(frames ...headed) {
	p.tb.Helper()
	if n, err := p.trySend(true, frames...); n != len(frames) || err != nil {
		p.tb.Fatal(n, err)
	}
}

func (p *agreedPort) trySend(wait bool, frames ...headed) (int, error) {
	var all [][]byte
	for _, h := range frames {
		all = append(all, h.bytes())
	}
	n, _, err := p.l.Send(all, wait)
	return n, err
}

// next waits for the next frame.
func (p *agreedPort) next() headed {
	p.tb.Helper()
	b, sizes := make([]byte, 1<<16), []int{0}
	if err := p.l.SetReadDeadline(time.Now().Add(long)); err != nil {
		p.tb.Fatal(err)
	}
	n, err := p.l.Recv([][]byte{b}, sizes)
	if n != 1 || err != nil {
		p.tb.Fatal(n, err)
	}
	return parseHeaded(p.tb, b[:sizes[0]])
}

func parseHeaded(tb testing.TB, b []byte) headed {
	o, err := frame.ParseVNetHeader(b)
	if err != nil {
		tb.Fatal(err)
	}
	return headed{o, b[frame.VNetHeaderLen:]}
}

// received returns what is queued.
func (p *agreedPort) received() (frames []headed) {
	p.tb.Helper()
	for vswitch.Queued(p.sw, p.c) > 0 {
		frames = append(frames, p.next())
	}
	return frames
}
