// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"context"
	"net"
	"slices"

	"github.com/go-vde/sdk/vde"
)

var needsHangup = []string{"Hangup", "Context and Err"}

// Promises about hangups.
var hangupPromises = []promise{
	{name: "HangupLetsReadersDrain", needs: needsHangup, tryRead: func(s *suite, op readOp) {
		n := s.burst(20)
		for i := range n {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		s.pair.Hangup()
		for i := range n {
			s.expectWith(op, s.frameAB(s.small(), i))
		}
		s.readsHungUp(op)
		s.hungUp(s.b)
	}},
	{name: "HangupKeepsFramesAfterContextEnds", needs: needsHangup, tryRead: func(s *suite, op readOp) {
		n := s.burst(20)
		for i := range n {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		s.pair.Hangup()
		s.hungUp(s.b)
		for i := range n {
			s.expectWith(op, s.frameAB(s.small(), i))
		}
		s.readsHungUp(op)
	}},
	{name: "HangupReleasesReaders", needs: needsHangup, tryRead: func(s *suite, op readOp) {
		var tasks []*suiteTask
		for range 3 {
			tasks = append(tasks, s.start(func() error { _, err := op.do(s.buffer()); return err }))
		}
		for _, t := range tasks {
			t.parked()
		}
		s.pair.Hangup()
		for _, t := range tasks {
			s.failed("waiting "+op.name+" at the hangup", await(s, op.name+" at the hangup", t.done), vde.ErrHangup)
		}
		s.hungUp(s.b)
	}},
	{name: "HangupReleasesWriters", needs: needsHangup, tryWrite: func(s *suite, op writeOp) {
		var tasks []*suiteTask
		for range 3 {
			tasks = append(tasks, s.start(func() error { return s.keepWriting(op) }))
		}
		if !s.Lossy {
			for _, t := range tasks {
				t.parked()
			}
		}
		s.pair.Hangup()
		for _, t := range tasks {
			s.failed("waiting "+op.name+" at the hangup", await(s, op.name+" at the hangup", t.done), vde.ErrHangup)
		}
		s.hungUp(s.a)
		n, err := op.do(s.frameAB(s.small(), 1))
		s.failed(op.name+" after the hangup", err, vde.ErrHangup)
		if n != 0 {
			s.Errorf("%s after the hangup returned %d", op.name, n)
		}
	}},
	{name: "HangupEndsFrames", needs: append(slices.Clone(needsHangup), "Frames"), try: func(s *suite) {
		ch, idle := s.b.(framer).Frames(), s.a.(framer).Frames()
		n := s.burst(20)
		for i := range n {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		s.pair.Hangup()
		for i := range n {
			s.expectOn(ch, s.frameAB(s.small(), i))
		}
		for _, ch := range []<-chan vde.Frame{ch, idle} {
			if f, ok := await(s, "the end of the channel", optional(ch)).get(); ok {
				s.Errorf("a frame of %d bytes out of nowhere", len(f.View()))
				f.Release()
			}
		}
		s.hungUp(s.a)
		s.hungUp(s.b)
	}},
	{name: "FramesAfterHangup", needs: append(slices.Clone(needsHangup), "Frames"), try: func(s *suite) {
		n := s.burst(20)
		for i := range n {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		s.pair.Hangup()
		s.hungUp(s.b)
		ch := s.b.(framer).Frames()
		for i := range n {
			s.expectOn(ch, s.frameAB(s.small(), i))
		}
		if f, ok := await(s, "the end of the channel", optional(ch)).get(); ok {
			s.Errorf("a frame of %d bytes out of nowhere", len(f.View()))
			f.Release()
		}
	}},
	{name: "HangupEndsContextThoughNobodyReads", needs: append(slices.Clone(needsHangup), "Frames"), waits: true, try: func(s *suite) {
		s.b.(framer).Frames() // its channel and the queue behind it fill up
		writer := s.start(func() error { return s.keepWriting(s.writeOps(s.a)[0]) })
		writer.parked()
		s.pair.Hangup()
		s.failed("writing at the hangup", await(s, "writer", writer.done), vde.ErrHangup)
		s.hungUp(s.a)
		s.hungUp(s.b)
		s.b.Close()
		for f := range s.b.(framer).Frames() {
			f.Release()
		}
	}},
	{name: "CloseAfterHangup", needs: needsHangup, try: func(s *suite) {
		s.pair.Hangup()
		for _, c := range []net.PacketConn{s.a, s.b} {
			s.hungUp(c)
			for range 2 {
				if err := c.Close(); err != nil {
					s.Errorf("Close after the hangup: %v", err)
				}
			}
			s.hungUp(c) // the first reason stays
			_, _, err := c.ReadFrom(s.buffer())
			s.failed("ReadFrom after Close", err, net.ErrClosed)
			_, err = c.WriteTo(s.frameAB(s.small(), 1), nil)
			s.failed("WriteTo after Close", err, net.ErrClosed)
		}
	}},
	{name: "HangupAfterClose", needs: needsHangup, try: func(s *suite) {
		s.a.Close()
		s.b.Close()
		s.pair.Hangup()
		for _, c := range []net.PacketConn{s.a, s.b} {
			if err := c.(contexter).Err(); err != net.ErrClosed {
				s.Errorf("Err is %v, want net.ErrClosed", err)
			}
		}
	}},
}

// hungUp waits for the end of c and checks its reason.
func (s *suite) hungUp(c net.PacketConn) {
	s.Helper()
	ctx := c.(contexter).Context()
	await(s, "the context after the hangup", ctx.Done())
	if cause := context.Cause(ctx); cause != vde.ErrHangup {
		s.Errorf("the context's cause is %v, want ErrHangup", cause)
	}
	if err := c.(contexter).Err(); err != vde.ErrHangup {
		s.Errorf("Err is %v, want ErrHangup", err)
	}
}

func (s *suite) readsHungUp(op readOp) {
	s.Helper()
	for range 2 {
		n, err := op.do(s.buffer())
		s.failed(op.name+" after the hangup", err, vde.ErrHangup)
		if n != 0 {
			s.Errorf("%s after the hangup returned %d", op.name, n)
		}
	}
}
