// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A packet is a frame and its metadata.
type packet struct {
	header frame.VNetHeader
	data   []byte
}

// bytes returns the header and the frame, as a datagram has them.
func (h packet) bytes() []byte {
	b := make([]byte, frame.VNetHeaderLen, frame.VNetHeaderLen+len(h.data))
	h.header.Put(b)
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

// segment returns a TCP segment with payload and a partial checksum, which is a
// GSO frame if it has more than mss bytes.
func segment(dst, src frame.MAC, v6 bool, seq uint32, payload []byte, mss int) packet {
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
	return packet{o, f}
}

// withTag returns h with a tag in front of its type.
func withTag(h packet, tci uint16) packet {
	h.data = tagged(h.data, tci)
	if h.header.Flags&frame.VNetNeedsChecksum != 0 {
		h.header.CsumStart += 4
	}
	if h.header.GSOType != frame.GSONone {
		h.header.HdrLen += 4
	}
	return h
}

// ordinary returns what h becomes for a port that takes ordinary frames, in the
// slow and obvious way.
func ordinary(h packet) (frames [][]byte) {
	if h.header.Flags&frame.VNetNeedsChecksum == 0 {
		return [][]byte{slices.Clone(h.data)}
	}
	tcp, data, _ := tcpOf(h.data)
	if start := int(h.header.CsumStart); start != tcp { // of something further inside
		f := slices.Clone(h.data)
		sum := ^ones(f[start:])
		if sum == 0 && h.header.CsumOffset == 6 {
			sum = 0xffff
		}
		binary.BigEndian.PutUint16(f[start+int(h.header.CsumOffset):], sum)
		return [][]byte{f}
	}
	payload, mss := h.data[data:], int(h.header.GSOSize)
	if h.header.GSOType == frame.GSONone {
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

// payloadOf checks lengths and checksums of h as its receiver would, and returns
// the its sequence number and what TCP carries.
func payloadOf(h packet) (seq uint32, payload []byte, err error) {
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
	if h.header.Flags&frame.VNetNeedsChecksum != 0 {
		if int(h.header.CsumStart) != tcp || h.header.CsumOffset != 16 || binary.BigEndian.Uint16(f[tcp+16:]) != ones(pseudo) {
			return 0, nil, fmt.Errorf("checksum to be completed: %+v, % x", h.header, f[tcp:data])
		}
	} else if ones(pseudo, f[tcp:]) != 0xffff {
		return 0, nil, fmt.Errorf("wrong checksum: %+v, % x", h.header, f[tcp:data])
	}
	if h.header.GSOType != frame.GSONone && int(h.header.HdrLen) != data {
		return 0, nil, fmt.Errorf("headers of %d bytes: %+v", data, h.header)
	}
	return binary.BigEndian.Uint32(f[tcp+4:]), f[data:], nil
}

// A packetPort is an in-process port that takes partial frames.
type packetPort struct {
	tb testing.TB
	sw *vswitch.Switch
	c  *vde.Conn
	l  link.Link

	buf []byte // of the next frame
}

// packetsOn has c take partial frames from now on.
func packetsOn(tb testing.TB, sw *vswitch.Switch, c *vde.Conn) *packetPort {
	p := &packetPort{tb, sw, c, vswitch.LinkOf(sw, c), make([]byte, 1<<16)}
	if n, err := p.l.Recv(link.Rx{Headers: []frame.VNetHeader{}, NoWait: true}); n != 0 {
		tb.Fatal(n, err)
	}
	return p
}

// send sends frames and fails the test unless all are taken.
func (p *packetPort) send(frames ...packet) {
	p.tb.Helper()
	if n, err := p.trySend(true, frames...); n != len(frames) || err != nil {
		p.tb.Fatal(n, err)
	}
}

func (p *packetPort) trySend(wait bool, frames ...packet) (int, error) {
	t := link.Tx{NoWait: !wait}
	for _, h := range frames {
		t.Frames, t.Headers = append(t.Frames, h.data), append(t.Headers, h.header)
	}
	n, _, err := p.l.Send(t)
	return n, err
}

// next waits for the next frame.
func (p *packetPort) next() packet {
	p.tb.Helper()
	if err := p.l.SetReadDeadline(time.Now().Add(long)); err != nil {
		p.tb.Fatal(err)
	}
	h, err := recvPacket(p.l, p.buf)
	if err != nil {
		p.tb.Fatal(err)
	}
	return h
}

// A packetReceiver is what recvPacket needs of a link.
type packetReceiver interface {
	Recv(r link.Rx) (int, error)
}

// recvPacket waits for a frame with its metadata, which it reads into buf.
func recvPacket(l packetReceiver, buf []byte) (h packet, err error) {
	sizes, headers := []int{0}, []frame.VNetHeader{{}}
	if _, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes, Headers: headers}); err != nil {
		return h, err
	}
	return packet{headers[0], slices.Clone(buf[:sizes[0]])}, nil
}

func parsePacket(tb testing.TB, b []byte) packet {
	h, err := frame.ParseVNetHeader(b)
	if err != nil {
		tb.Fatal(err)
	}
	return packet{h, b[frame.VNetHeaderLen:]}
}

// received returns what is queued.
func (p *packetPort) received() (frames []packet) {
	p.tb.Helper()
	for vswitch.Queued(p.sw, p.c) > 0 {
		frames = append(frames, p.next())
	}
	return frames
}

// payload returns n bytes that differ from each other's.
func payload(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// plain returns frames with virtio-net headers that say nothing.
func plain(frames ...[]byte) (all []packet) {
	for _, f := range frames {
		all = append(all, packet{data: f})
	}
	return all
}

func equal(a, b []packet) bool {
	return slices.EqualFunc(a, b, func(a, b packet) bool { return a.header == b.header && bytes.Equal(a.data, b.data) })
}

// lengths says what is in frames.
func lengths(frames []packet) (all []int) {
	for _, h := range frames {
		all = append(all, len(h.data))
	}
	return all
}

// inject forwards frames as if a client with shared memory had sent them.
func inject(sw *vswitch.Switch, n int, frames ...packet) {
	var all [][]byte
	headers := []frame.VNetHeader{}
	for _, h := range frames {
		all, headers = append(all, h.data), append(headers, h.header)
	}
	vswitch.Inject(sw, n, all, headers)
}

// An anyPort is an in-process port that may or may not take partial frames.
type anyPort struct {
	*packetPort
	partial bool
}

// attachAny attaches a station to port n until the test ends.
func attachAny(tb testing.TB, sw *vswitch.Switch, n int, partial bool) anyPort {
	tb.Helper()
	return anyPortOf(tb, sw, attach(tb, sw, n), partial)
}

// anyPortOf has c take partial frames or not.
func anyPortOf(tb testing.TB, sw *vswitch.Switch, c *vde.Conn, partial bool) anyPort {
	tb.Helper()
	if partial {
		return anyPort{packetsOn(tb, sw, c), true}
	}
	return anyPort{&packetPort{tb: tb, sw: sw, c: c}, false}
}

// received returns what is queued.
func (p anyPort) received() []packet {
	p.tb.Helper()
	if p.partial {
		return p.packetPort.received()
	}
	return plain(received(p.tb, p.sw, p.c)...)
}

// mirrored returns a switch of frames of up to 1514 bytes with two ports, of which the
// second gets copies of what the first sends.
func mirrored(t *testing.T) (*vswitch.Switch, *packetPort) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514})
	t.Cleanup(func() { sw.Close() })
	attach(t, sw, 1)
	b := packetsOn(t, sw, attach(t, sw, 2))
	if err := sw.Mirror(1, 2); err != nil {
		t.Fatal(err)
	}
	return sw, b
}
