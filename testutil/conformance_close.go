// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-vde/sdk/vde"
)

// Promises about closing and about use from many goroutines.
var closePromises = []promise{
	{name: "CloseUnblocksReads", tryRead: func(s *suite, op readOp) {
		var tasks []*suiteTask
		for range 3 {
			tasks = append(tasks, s.start(func() error { _, err := op.do(s.buffer()); return err }))
		}
		for _, t := range tasks {
			t.parked()
		}
		if err := s.b.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
		for _, t := range tasks {
			s.failed("waiting "+op.name+" at Close", await(s, op.name+" at Close", t.done), net.ErrClosed)
		}
	}},
	{name: "CloseUnblocksWrites", tryWrite: func(s *suite, op writeOp) {
		var tasks []*suiteTask
		for range 3 {
			tasks = append(tasks, s.start(func() error { return s.keepWriting(op) }))
		}
		if !s.Lossy {
			for _, t := range tasks {
				t.parked()
			}
		}
		if err := s.a.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
		for _, t := range tasks {
			s.failed("waiting "+op.name+" at Close", await(s, op.name+" at Close", t.done), net.ErrClosed)
		}
	}},
	{name: "ReadsAfterClose", tryRead: func(s *suite, op readOp) {
		s.send(s.a, s.frameAB(s.small(), 1)) // lost: there is nobody to read it
		s.b.Close()
		for range 2 {
			n, err := op.do(s.buffer())
			s.failed(op.name+" after Close", err, net.ErrClosed)
			if n != 0 {
				s.Errorf("%s after Close returned %d", op.name, n)
			}
		}
	}},
	{name: "WritesAfterClose", tryWrite: func(s *suite, op writeOp) {
		s.a.Close()
		for range 2 {
			n, err := op.do(s.frameAB(s.small(), 1))
			s.failed(op.name+" after Close", err, net.ErrClosed)
			if n != 0 {
				s.Errorf("%s after Close returned %d", op.name, n)
			}
		}
	}},
	{name: "TryWriteBatchAfterClose", needs: []string{"TryWriteBatch"}, try: func(s *suite) {
		s.a.Close()
		n, err := s.a.(tryWriter).TryWriteBatch([][]byte{s.frameAB(s.small(), 1)})
		s.failed("TryWriteBatch after Close", err, net.ErrClosed)
		if n != 0 || errors.Is(err, vde.ErrFull) {
			s.Errorf("TryWriteBatch after Close returned %d, %v", n, err)
		}
	}},
	{name: "SecondCloseReturnsNil", try: func(s *suite) {
		for _, c := range []net.PacketConn{s.a, s.b} {
			for i := range 3 {
				if err := c.Close(); err != nil {
					s.Errorf("Close number %d: %v", i+1, err)
				}
			}
		}
	}},
	{name: "ConcurrentClose", try: func(s *suite) {
		writing := s.start(func() error { return s.keepWriting(s.writeOps(s.b)[0]) })
		reading := s.start(func() error { _, _, err := s.b.ReadFrom(s.buffer()); return err })
		reading.parked()
		var closing []*suiteTask
		for range 8 {
			closing = append(closing, s.start(s.b.Close))
		}
		for _, t := range closing {
			if err := await(s, "Close", t.done); err != nil {
				s.Errorf("Close: %v", err)
			}
		}
		s.failed("reading at Close", await(s, "reader", reading.done), net.ErrClosed)
		s.failed("writing at Close", await(s, "writer", writing.done), net.ErrClosed)
	}},
	{name: "CloseOfOneLeavesTheOther", try: func(s *suite) {
		s.a.Close()
		if err := s.b.SetReadDeadline(longAgo); err != nil {
			s.Fatal(err)
		}
		_, _, err := s.b.ReadFrom(s.buffer())
		s.dressed("reading when the other end has closed", err)
		if errors.Is(err, net.ErrClosed) {
			s.Errorf("reading when the other end has closed: %v", err)
		}
		if err := s.b.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	}},
	{name: "EverythingAtOnce", try: func(s *suite) {
		const rounds = 100
		var working, reading []*suiteTask
		work := func(f func() error) {
			working = append(working, s.start(func() error {
				for range rounds {
					if err := f(); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		for i, c := range []net.PacketConn{s.a, s.b} {
			f := s.frameAB(s.small(), i)
			if c == s.b {
				f = s.frameBA(s.small(), i)
			}
			for _, op := range s.readOps(c) {
				reading = append(reading, s.start(func() error {
					buf := s.buffer()
					for {
						_, err := op.do(buf)
						if errors.Is(err, os.ErrDeadlineExceeded) {
							// Without a reader, writers would wait for ever.
							err = c.SetReadDeadline(noDeadline)
						}
						if err != nil {
							return err
						}
					}
				}))
			}
			for _, op := range s.writeOps(c) {
				work(func() error {
					_, err := op.do(f)
					if errors.Is(err, os.ErrDeadlineExceeded) {
						err = nil
					}
					return err
				})
			}
			if w, ok := c.(tryWriter); ok {
				work(func() error {
					_, err := w.TryWriteBatch([][]byte{f, f})
					if errors.Is(err, vde.ErrFull) {
						err = nil
					}
					return err
				})
			}
			work(func() error { return c.SetDeadline(time.Now().Add(time.Millisecond)) })
			work(func() error { return c.SetReadDeadline(noDeadline) })
			work(func() error { return c.SetWriteDeadline(time.Now().Add(time.Hour)) })
			work(func() error { _ = c.LocalAddr().String(); return nil })
			if c, ok := c.(contexter); ok {
				work(func() error { return errors.Join(c.Err(), c.Context().Err()) })
			}
			if c, ok := c.(statser); ok {
				work(func() error { _ = c.Stats(); return nil })
			}
			if c, ok := c.(syscall.Conn); ok {
				work(func() error {
					_, err := c.SyscallConn()
					if errors.Is(err, errors.ErrUnsupported) {
						err = nil
					}
					return err
				})
			}
		}
		for _, t := range working {
			if err := await(s, "many methods at once", t.done); err != nil {
				s.Error(err)
			}
		}
		s.a.Close()
		s.b.Close()
		for _, t := range reading {
			s.failed("one of many methods at Close", await(s, "reader", t.done), net.ErrClosed)
		}
	}},
	{name: "ContextEndsAtClose", needs: []string{"Context and Err"}, try: func(s *suite) {
		for _, pc := range []net.PacketConn{s.a, s.b} {
			c := pc.(contexter)
			ctx := c.Context()
			if ctx.Err() != nil || c.Err() != nil {
				s.Errorf("while open: context %v, Err %v", ctx.Err(), c.Err())
			}
			pc.Close()
			if ctx.Err() == nil {
				s.Fatal("the context has not ended when Close returns")
			}
			if err := c.Context().Err(); err == nil {
				s.Error("Context returns another context after Close")
			}
			if cause := context.Cause(ctx); cause != net.ErrClosed {
				s.Errorf("the context's cause is %v, want net.ErrClosed", cause)
			}
			if err := c.Err(); err != net.ErrClosed {
				s.Errorf("Err is %v, want net.ErrClosed", err)
			}
		}
	}},
	{name: "SyscallConn", needs: []string{"SyscallConn"}, try: func(s *suite) {
		c := s.a.(syscall.Conn)
		raw, err := c.SyscallConn()
		if errors.Is(err, errors.ErrUnsupported) {
			s.dressed("SyscallConn", err)
			return // there is no descriptor, and it says so
		}
		if err != nil || raw == nil {
			s.Fatalf("SyscallConn returned %v, %v", raw, err)
		}
		called := false
		if err := raw.Control(func(uintptr) { called = true }); err != nil || !called {
			s.Errorf("Control called its function: %v, %v", called, err)
		}
		s.a.Close()
		if err := raw.Control(func(uintptr) { s.Error("Control of a closed descriptor calls its function") }); err == nil {
			s.Error("Control after Close succeeds")
		}
		if raw, err := c.SyscallConn(); err == nil {
			if err := raw.Control(func(uintptr) { s.Error("Control of a closed descriptor calls its function") }); err == nil {
				s.Error("SyscallConn and Control after Close succeed")
			}
		}
	}},
}
