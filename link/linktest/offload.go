// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// An unfinished is a frame with its metadata.
type unfinished struct {
	header frame.VNetHeader
	frame  []byte
}

// gsoFrame returns a TCP segment with that much payload, to be cut into segments
// with size bytes of it each.
func gsoFrame(payload, size int) unfinished {
	const headers = 54
	f := make([]byte, headers+payload)
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	total := len(f) - frame.HeaderLen
	copy(f[14:], []byte{0x45, 0, byte(total >> 8), byte(total), 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	// A kernel on the way may check it: the sum of the words above, and the length.
	sum := 0x4500 + total + 1 + 0x4000 + 0x4006 + 0x0a00 + 1 + 0x0a00 + 2
	sum = ^(sum>>16 + sum&0xffff)
	f[24], f[25] = byte(sum>>8), byte(sum)
	tcp := total - 20
	copy(f[34:], []byte{0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0})
	pseudo := 0x0a00 + 1 + 0x0a00 + 2 + 6 + tcp
	pseudo = pseudo>>16 + pseudo&0xffff
	f[50], f[51] = byte(pseudo>>8), byte(pseudo)
	for i := headers; i < len(f); i++ {
		f[i] = byte(i * 11)
	}
	return unfinished{frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4,
		HdrLen: headers, GSOSize: uint16(size), CsumStart: 34, CsumOffset: 16,
	}, f}
}

// partial returns a frame whose checksum is partial.
func partial(payload int) unfinished {
	u := gsoFrame(payload, 1)
	u.header.GSOType, u.header.HdrLen, u.header.GSOSize = frame.GSONone, 0, 0
	return u
}

// gsoDatagrams returns datagrams of UDP with that much payload in all, to be cut into
// datagrams with size bytes of it each.
func gsoDatagrams(payload, size int) unfinished {
	const headers = 42
	u := gsoFrame(payload-12, size) // whose header is longer by 12 bytes
	f := u.frame
	f[23] = 17
	sum := int(f[24])<<8 + int(f[25]) - 11 // of the IP header
	if sum < 0 {
		sum += 0xffff
	}
	f[24], f[25] = byte(sum>>8), byte(sum)
	udp := len(f) - 34
	f[38], f[39] = byte(udp>>8), byte(udp)
	pseudo := 0x0a00 + 1 + 0x0a00 + 2 + 17 + udp
	pseudo = pseudo>>16 + pseudo&0xffff
	f[40], f[41] = byte(pseudo>>8), byte(pseudo)
	u.header.GSOType, u.header.HdrLen, u.header.CsumOffset = frame.GSOUDP, headers, 6
	return u
}

// finished returns the ordinary frames that u becomes.
func (u unfinished) finished() [][]byte {
	if u.header.GSOType != frame.GSONone {
		return gso.Segments(u.header, u.frame)
	}
	f := slices.Clone(u.frame)
	gso.Finish(u.header, f)
	return [][]byte{f}
}

// offload: what Caps says is taken arrives as it is where the receiver asks for
// metadata, and finished where it does not.
func (s *suite) offload() {
	takes := s.a.Caps().Offload
	list := []unfinished{{frame: s.frame(200)}}
	for _, u := range []unfinished{
		gsoFrame(5000, s.MaxFrameSize-100), gsoFrame(frame.MaxGSO-54, s.MaxFrameSize-54), gsoFrame(1, 1000),
		partial(60), partial(301),
		gsoDatagrams(5000, s.MaxFrameSize-100), gsoDatagrams(12800, 200),
	} {
		if takes.Takes(u.header) {
			list = append(list, u)
		}
	}
	for _, headers := range []bool{false, true, false} {
		receive := s.expectFinished
		if headers {
			receive = s.expectUnfinished
			s.askForHeaders()
		}
		var t link.Tx
		for _, u := range list {
			t.Frames, t.Headers = append(t.Frames, u.frame), append(t.Headers, u.header)
		}
		sent := make(chan error, 1)
		go func() {
			_, _, err := s.a.Send(t)
			sent <- err
		}()
		receive(list)
		if err := <-sent; err != nil {
			s.Fatalf("Send: %v", err)
		}
	}
}

// askForHeaders receives nothing with Headers: a link may tell the other side at
// the first such Recv, and what was sent before may come finished.
func (s *suite) askForHeaders() {
	r := link.Rx{Bufs: [][]byte{make([]byte, 1<<16)}, Sizes: make([]int, 1), Headers: make([]frame.VNetHeader, 1), NoWait: true}
	if n, err := s.b.Recv(r); n != 0 || !errors.Is(err, link.ErrEmpty) {
		s.Fatalf("Recv with NoWait and Headers when nothing was sent: %d, %v", n, err)
	}
}

// expectFinished receives what list becomes, without Headers.
func (s *suite) expectFinished(list []unfinished) {
	var want [][]byte
	for _, u := range list {
		want = append(want, u.finished()...)
	}
	s.expect(s.b, want)
}

// expectUnfinished receives list with Headers.
func (s *suite) expectUnfinished(list []unfinished) {
	bufs := [][]byte{make([]byte, 1<<16), make([]byte, 1<<16)}
	sizes, headers := make([]int, 2), make([]frame.VNetHeader, 2)
	for len(list) > 0 {
		n, err := s.b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers, USO: true})
		if err != nil || n > len(list) {
			s.Fatalf("Recv with Headers: %d, %v; %d frames are to come", n, err, len(list))
		}
		for i, u := range list[:n] {
			if s.SingleSegments && headers[i] != u.header && len(u.finished()) == 1 {
				u.header.GSOType, u.header.HdrLen, u.header.GSOSize = frame.GSONone, 0, 0
			}
			if headers[i] != u.header || sizes[i] != len(u.frame) || !bytes.Equal(bufs[i][:sizes[i]], u.frame) {
				s.Fatalf("a frame of %d bytes came with the header %+v, sent were %d bytes with %+v", sizes[i], headers[i], len(u.frame), u.header)
			}
		}
		list = list[n:]
	}
}
