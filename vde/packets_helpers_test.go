// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/vde"
)

// socketPair returns two connections whose data sockets are each other's peers,
// as after a handshake. agreed says at which end datagrams begin with a
// virtio-net header; hangup ends both control streams.
func socketPair(agreed [2]bool, opts ...vde.Option) (conns [2]*vde.Conn, hangup func(), err error) {
	data, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return conns, nil, err
	}
	var far [2]*transport.Stream
	for i := range conns {
		ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return conns, nil, err
		}
		if far[i], err = transport.NewStream(ctl[1], "control"); err != nil {
			return conns, nil, err
		}
		stream, err := transport.NewStream(ctl[0], "control")
		if err != nil {
			return conns, nil, err
		}
		sock, err := sockio.New(data[i], "data", agreed[i])
		if err != nil {
			return conns, nil, err
		}
		l := transport.New(transport.Config{Stream: stream, Transport: sock})
		if conns[i], err = vde.NewConn(context.Background(), l, append(opts, vde.WithName("pair"))...); err != nil {
			return conns, nil, err
		}
	}
	return conns, func() { far[0].Close(); far[1].Close() }, nil
}

// agreedPair is socketPair for a test, with both ends alike.
func agreedPair(t testing.TB, agreed bool, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	conns, hangup, err := socketPair([2]bool{agreed, agreed}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conns[0].Close()
		conns[1].Close()
		hangup()
	})
	return conns[0], conns[1]
}

// A packet is a frame with its metadata.
type packet struct {
	header frame.VNetHeader
	frame  []byte
}

// gsoPacket returns a TCP segment of n bytes of payload, to be cut at size.
func gsoPacket(n, size int) packet {
	const hdr = 54
	f := make([]byte, hdr+n)
	frame.PutHeader(f, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	total := 40 + n
	copy(f[14:], []byte{0x45, 0, byte(total >> 8), byte(total), 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	copy(f[34:], []byte{0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0})
	for i := range f[hdr:] {
		f[hdr+i] = byte(i * 11)
	}
	return packet{frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: hdr, GSOSize: uint16(size),
		CsumStart: 34, CsumOffset: 16,
	}, f}
}

// partialPacket returns a UDP datagram that lacks its checksum.
func partialPacket() packet {
	f := frame.AppendHeader(nil, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0, 0x21, 0, 7, 0x40, 0, 0x40, 0x11, 0x26, 0xc3, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0x14, 0xe9, 0, 0x35, 0, 0xd, 0x14, 0x21, 'q', 'u', 'e', 'r', 'y')
	return packet{frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: 34, CsumOffset: 6}, f}
}

// finished returns what p becomes for those who take ordinary frames. Package
// gso's own tests say that this is right.
func (p packet) finished() (all []packet) {
	if p.header.GSOType == frame.GSONone {
		f := bytes.Clone(p.frame)
		gso.Finish(p.header, f)
		return []packet{{frame: f}}
	}
	for _, f := range gso.Segments(p.header, p.frame) {
		all = append(all, packet{frame: f})
	}
	return all
}

// datagram returns p behind its header, as it goes through sockets.
func (p packet) datagram() []byte {
	d := make([]byte, frame.VNetHeaderLen, frame.VNetHeaderLen+len(p.frame))
	p.header.Put(d)
	return append(d, p.frame...)
}

func samePacket(a, b packet) bool { return a.header == b.header && bytes.Equal(a.frame, b.frame) }

// split returns packets in pieces, and their headers.
func split(packets []packet) (pieces []net.Buffers, headers []frame.VNetHeader) {
	for _, p := range packets {
		f := p.frame
		pieces = append(pieces, net.Buffers{f[:0], f[:4], f[4:30], f[30:]})
		headers = append(headers, p.header)
	}
	return pieces, headers
}

func frames(packets []packet) (all [][]byte) {
	for _, p := range packets {
		all = append(all, p.frame)
	}
	return all
}

// A packetSender sends packets; finished says that it takes ordinary ones only.
type packetSender struct {
	name     string
	finished bool
	send     func(c *vde.Conn, packets []packet) (int, error)
}

var packetSenders = []packetSender{
	{"WritePackets", false, func(c *vde.Conn, packets []packet) (int, error) {
		pieces, headers := split(packets)
		return c.WritePackets(pieces, headers)
	}},
	{"TryWritePackets", false, func(c *vde.Conn, packets []packet) (int, error) {
		pieces, headers := split(packets)
		return c.TryWritePackets(pieces, headers) // the queue takes them all
	}},
	{"Write", true, func(c *vde.Conn, packets []packet) (n int, err error) {
		for _, p := range packets {
			k, err := c.Write(p.frame)
			if err != nil || k != len(p.frame) {
				return n, fmt.Errorf("%d of %d: %w", k, len(p.frame), err)
			}
			n++
		}
		return n, nil
	}},
	{"WriteBatch", true, func(c *vde.Conn, packets []packet) (int, error) { return c.WriteBatch(frames(packets)) }},
	{"TryWriteBatch", true, func(c *vde.Conn, packets []packet) (int, error) { return c.TryWriteBatch(frames(packets)) }},
	{"WriteBuffers", true, func(c *vde.Conn, packets []packet) (int, error) {
		pieces, _ := split(packets)
		return c.WriteBuffers(pieces)
	}},
}

// A packetReceiver receives n packets; finished is as in packetSender.
type packetReceiver struct {
	name     string
	finished bool
	receive  func(t *testing.T, c *vde.Conn, n int) []packet
}

var packetReceivers = []packetReceiver{
	{"ReadPackets", false, func(t *testing.T, c *vde.Conn, n int) (got []packet) {
		for len(got) < n {
			bufs, headers := longBuffers(3), make([]frame.VNetHeader, 3)
			for i := range headers {
				headers[i].GSOType = 99 // to be overwritten
			}
			k, err := c.ReadPackets(bufs, headers)
			if err != nil {
				t.Error(err)
				break
			}
			for i := range k {
				got = append(got, packet{headers[i], bufs[i]})
			}
		}
		return got
	}},
	{"ReadFrom", true, func(t *testing.T, c *vde.Conn, n int) (got []packet) {
		buf := make([]byte, 1<<16)
		for range n {
			k, src, err := c.ReadFrom(buf)
			if err != nil {
				t.Error(err)
				break
			}
			if src.String() != "02:00:00:00:00:01" {
				t.Errorf("source %v", src)
			}
			got = append(got, packet{frame: bytes.Clone(buf[:k])})
		}
		return got
	}},
	{"ReadBatch", true, func(t *testing.T, c *vde.Conn, n int) (got []packet) {
		for len(got) < n {
			bufs := longBuffers(3)
			k, err := c.ReadBatch(bufs)
			if err != nil {
				t.Error(err)
				break
			}
			for _, f := range bufs[:k] {
				got = append(got, packet{frame: f})
			}
		}
		return got
	}},
	{"Frames", true, func(t *testing.T, c *vde.Conn, n int) (got []packet) {
		for range n {
			f := <-c.Frames()
			got = append(got, packet{frame: bytes.Clone(f.Bytes())})
			f.Release()
		}
		return got
	}},
}

// longBuffers returns n buffers for GSO frames.
func longBuffers(n int) [][]byte {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16)
	}
	return bufs
}

// sendDatagram sends d as it is.
func sendDatagram(t testing.TB, raw syscall.RawConn, d []byte) {
	t.Helper()
	var sendErr error
	if err := raw.Write(func(fd uintptr) bool {
		sendErr = unix.Send(int(fd), d, 0)
		return sendErr != unix.EAGAIN
	}); err != nil || sendErr != nil {
		t.Fatal(err, sendErr)
	}
}
