// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"bytes"
	"errors"
	"io"
	"net"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// Promises about single frames.
var framePromises = []promise{
	{name: "FramesArriveUnchangedInOrder", tryRead: func(s *suite, op readOp) {
		for i, size := range s.sizes() {
			f := s.frameAB(size, i)
			s.send(s.a, f)
			s.expectWith(op, f)
		}
		n := s.burst(20)
		for i := range n {
			s.send(s.a, s.frameAB(s.small()+i, i))
		}
		for i := range n {
			s.expectWith(op, s.frameAB(s.small()+i, i))
		}
	}},
	{name: "FramesLeaveUnchangedInOrder", tryWrite: func(s *suite, op writeOp) {
		for i, size := range s.sizes() {
			s.write(op, s.frameAB(size, i))
			s.expect(s.b, s.frameAB(size, i))
		}
		n := s.burst(20)
		for i := range n {
			s.write(op, s.frameAB(s.small()+i, i))
		}
		for i := range n {
			s.expect(s.b, s.frameAB(s.small()+i, i))
		}
	}},
	{name: "PingPong", try: func(s *suite) {
		pong := s.start(func() error {
			buf := s.buffer()
			for {
				n, _, err := s.b.ReadFrom(buf)
				if err != nil {
					return err
				}
				if n < frame.HeaderLen {
					continue // reported by the other side, which waits in vain
				}
				frame.PutHeader(buf, suiteMACA, suiteMACB, suiteEtherType)
				if _, err := s.b.WriteTo(buf[:n], nil); err != nil {
					return err
				}
			}
		})
		for i := range 200 {
			size := s.small() + i%64
			s.send(s.a, s.frameAB(size, i))
			s.expect(s.a, s.frameBA(size, i))
		}
		s.b.Close()
		s.failed("reading until Close", await(s, "reader", pong.done), net.ErrClosed)
	}},
	{name: "BothWaysAtOnce", waits: true, try: func(s *suite) {
		const total = 2000
		send := func(c net.PacketConn, f func(size, seq int) []byte) func() error {
			return func() error {
				for i := range total {
					if _, err := c.WriteTo(f(s.small(), i), nil); err != nil {
						return err
					}
				}
				return nil
			}
		}
		ab, ba := s.start(send(s.a, s.frameAB)), s.start(send(s.b, s.frameBA))
		other := s.start(func() error {
			buf := s.buffer()
			for i := range total {
				n, _, err := s.a.ReadFrom(buf)
				if err != nil {
					return err
				}
				if d := difference(buf[:n], s.frameBA(s.small(), i)); d != "" {
					return errors.New(d)
				}
			}
			return nil
		})
		for i := range total {
			s.expect(s.b, s.frameAB(s.small(), i))
		}
		for _, t := range []*suiteTask{ab, ba, other} {
			if err := await(s, "the other direction", t.done); err != nil {
				s.Fatal(err)
			}
		}
	}},
	{name: "BroadcastArrives", try: func(s *suite) {
		f := suiteFrame(frame.Broadcast(), suiteMACA, s.small(), 1)
		s.send(s.a, f)
		s.expect(s.b, f)
	}},
	{name: "ReadFromReturnsSource", try: func(s *suite) {
		s.send(s.a, s.frameAB(s.small(), 1))
		_, src, err := s.b.ReadFrom(s.buffer())
		if err != nil {
			s.Fatal(err)
		}
		want := net.Addr(vde.Addr{MAC: suiteMACA})
		if src != want {
			s.Errorf("source is %#v, want %#v", src, want)
		} else if src.Network() != "vde" || src.String() != "02:00:00:00:00:0a" {
			s.Errorf("source is %s %q", src.Network(), src)
		}
	}},
	{name: "ReadFromErrorHasNilSource", try: func(s *suite) {
		s.b.Close()
		if n, src, err := s.b.ReadFrom(s.buffer()); n != 0 || src != nil || err == nil {
			s.Errorf("ReadFrom after Close returned %d, %#v, %v", n, src, err)
		}
	}},
	{name: "WriteToChecksDestination", try: func(s *suite) {
		f := s.frameAB(s.small(), 1)
		for _, dst := range []net.Addr{vde.Addr{MAC: suiteMACA}, vde.Addr{}, vde.Addr{MAC: frame.Broadcast()}, &net.UnixAddr{Name: "x", Net: "unixgram"}} {
			n, err := s.a.WriteTo(f, dst)
			if n != 0 || err == nil {
				s.Fatalf("WriteTo a frame for %v with dst %v returned %d, %v", suiteMACB, dst, n, err)
			}
			s.dressed("WriteTo with another destination", err)
		}
		s.nothingSent("WriteTo with another destination")
		for _, dst := range []net.Addr{nil, vde.Addr{MAC: suiteMACB}} {
			if n, err := s.a.WriteTo(f, dst); n != len(f) || err != nil {
				s.Fatalf("WriteTo with dst %v returned %d, %v", dst, n, err)
			}
			s.expect(s.b, f)
		}
	}},
	{name: "ReplyToSource", try: func(s *suite) {
		s.send(s.a, s.frameAB(s.small(), 1))
		_, src, err := s.b.ReadFrom(s.buffer())
		if err != nil {
			s.Fatal(err)
		}
		f := s.frameBA(s.small(), 2)
		if n, err := s.b.WriteTo(f, src); n != len(f) || err != nil {
			s.Fatalf("WriteTo the source of a frame: %d, %v", n, err)
		}
		s.expect(s.a, f)
	}},
	{name: "LocalAddr", try: func(s *suite) {
		for range 2 { // the second time after Close
			for _, c := range []net.PacketConn{s.a, s.b} {
				if addr := c.LocalAddr(); addr == nil || addr.Network() != "vde" || addr.String() == "" {
					s.Errorf("LocalAddr is %#v", addr)
				}
				c.Close()
			}
		}
	}},
	{name: "ShortBuffer", tryRead: func(s *suite, op readOp) {
		f, after := s.frameAB(s.small()+40, 1), s.frameAB(s.small(), 2)
		s.send(s.a, f)
		s.send(s.a, after)
		p := make([]byte, s.small())
		if op.name != "ReadBatch" { // which discards the frame: see ReadBatchDiscardsTruncated
			n, err := op.do(p)
			s.failed(op.name+" into a short buffer", err, io.ErrShortBuffer)
			if n != len(p) || !bytes.Equal(p, f[:len(p)]) {
				s.Errorf("%s into a short buffer returned %d, bytes %x; want the frame's beginning", op.name, n, p)
			}
		}
		// The rest of the frame is lost, and the next call returns the next frame.
		n, err := op.do(p)
		if err != nil {
			s.Fatal(err)
		}
		s.same(op.name, p[:n], after)
	}},
	{name: "ReadKeepsWithinLength", tryRead: func(s *suite, op readOp) {
		slab := bytes.Repeat([]byte{0xa5}, 3*s.MaxFrame)
		s.send(s.a, s.frameAB(s.small()+40, 1))
		f := s.frameAB(s.small(), 2)
		s.send(s.a, f)
		p := slab[:s.small()] // its capacity is the whole slab
		n, err := op.do(p)
		if errors.Is(err, io.ErrShortBuffer) {
			n, err = op.do(p)
		}
		if err != nil {
			s.Fatal(err)
		}
		s.same(op.name, p[:n], f)
		for i, b := range slab[len(p):] {
			if b != 0xa5 {
				s.Fatalf("%s wrote byte %d of a buffer of length %d", op.name, len(p)+i, len(p))
			}
		}
	}},
	{name: "WrongSizesAreRefused", tryWrite: func(s *suite, op writeOp) {
		for _, size := range []int{0, 1, frame.HeaderLen - 1, s.MaxFrame + 1, s.MaxFrame + 1000} {
			n, err := op.do(s.frameAB(size, 1))
			if n != 0 || err == nil {
				s.Fatalf("%s of %d bytes returned %d, %v", op.name, size, n, err)
			}
			s.dressed(op.name+" of a wrong size", err)
		}
		s.nothingSent(op.name + " of a wrong size")
	}},
	{name: "WriteLeavesBufferAlone", tryWrite: func(s *suite, op writeOp) {
		n := s.burst(20)
		want := s.frameAB(s.big(), 1)
		slab := append(bytes.Clone(want), bytes.Repeat([]byte{0xa5}, 64)...)
		f := slab[:len(want)]
		for range n {
			s.write(op, f)
			if !bytes.Equal(f, want) || !bytes.Equal(slab[len(f):], bytes.Repeat([]byte{0xa5}, 64)) {
				s.Fatalf("%s modified its buffer", op.name)
			}
			clear(f) // it was lent for the call only
			copy(f, want)
		}
		clear(f)
		for range n {
			s.expect(s.b, want)
		}
	}},
	{name: "ConcurrentReadersShareFrames", try: func(s *suite) {
		total := s.burst(400)
		got := make(chan []byte, total)
		var readers []*suiteTask
		ops := s.readOps(s.b)
		for i := range 4 {
			op := ops[i%len(ops)]
			readers = append(readers, s.start(func() error {
				for {
					buf := s.buffer()
					n, err := op.do(buf)
					if err != nil {
						return err
					}
					got <- buf[:n]
				}
			}))
		}
		for i := range total {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		seen := make([]bool, total)
		for range total {
			f := await(s, "frames for several readers", got)
			i := suiteSeq(f)
			if i < 0 || i >= total || seen[i] {
				s.Fatalf("frame %d came twice or never was", i)
			}
			seen[i] = true
			s.same("one of several readers", f, s.frameAB(s.small(), i))
		}
		s.b.Close()
		for _, r := range readers {
			s.failed("one of several readers", await(s, "reader", r.done), net.ErrClosed)
		}
	}},
	{name: "ConcurrentWritersKeepFramesWhole", try: func(s *suite) {
		const writers = 4
		each := s.burst(100)
		ops := s.writeOps(s.a)
		var tasks []*suiteTask
		for w := range writers {
			op := ops[w%len(ops)]
			tasks = append(tasks, s.start(func() error {
				for i := range each {
					if _, err := op.do(s.frameAB(s.small(), w<<16|i)); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		var next [writers]int
		buf := s.buffer()
		for range writers * each {
			n, _, err := s.b.ReadFrom(buf)
			if err != nil {
				s.Fatalf("frames of several writers, %v received: %v", next, err)
			}
			w := suiteSeq(buf[:n]) >> 16
			if w < 0 || w >= writers {
				s.Fatalf("frame %d never was", suiteSeq(buf[:n]))
			}
			s.same("frames of several writers", buf[:n], s.frameAB(s.small(), w<<16|next[w]))
			next[w]++
		}
		for _, t := range tasks {
			if err := await(s, "writer", t.done); err != nil {
				s.Fatal(err)
			}
		}
	}},
	{name: "NoAllocations", needs: []string{"Read and Write"}, allocs: true, try: func(s *suite) {
		a, b := s.a.(singleConn), s.b.(singleConn)
		f, buf := s.frameAB(s.small(), 1), s.buffer()
		s.noAllocs("Write and Read", func() {
			if _, err := a.Write(f); err != nil {
				s.Fatal(err)
			}
			if _, err := b.Read(buf); err != nil {
				s.Fatal(err)
			}
		})
	}},
}

// sizes returns the lengths of frames to try.
func (s *suite) sizes() []int {
	var sizes []int
	for _, n := range []int{14, 15, 60, 64, 1514, 1518, 9014, 9234} {
		if n >= s.MinFrame && n < s.MaxFrame {
			sizes = append(sizes, n)
		}
	}
	return append(sizes, s.MaxFrame)
}

// write writes f with op, which must succeed.
func (s *suite) write(op writeOp, f []byte) {
	s.Helper()
	if n, err := op.do(f); n != len(f) || err != nil {
		s.Fatalf("%s of %d bytes returned %d, %v", op.name, len(f), n, err)
	}
}
