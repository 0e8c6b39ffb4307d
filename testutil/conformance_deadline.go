// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"errors"
	"net"
	"os"
	"time"
)

// Times from now to a deadline.
const (
	// soon is for deadlines that a call waits for. A slow machine may be late.
	soon = 20 * time.Millisecond

	// later is for deadlines before which something has to happen: a queue to become full, the deadline to be
	// lifted. A machine too slow for that makes a test less strict.
	later = 50 * time.Millisecond
)

// A deadlineSetter is SetDeadline, or the half of it under test.
type deadlineSetter struct {
	name string
	set  func(time.Time) error
}

func (s *suite) readDeadlines() []deadlineSetter {
	return []deadlineSetter{{"SetReadDeadline", s.b.SetReadDeadline}, {"SetDeadline", s.b.SetDeadline}}
}

func (s *suite) writeDeadlines() []deadlineSetter {
	return []deadlineSetter{{"SetWriteDeadline", s.a.SetWriteDeadline}, {"SetDeadline", s.a.SetDeadline}}
}

func (s *suite) set(d deadlineSetter, t time.Time) {
	s.Helper()
	if err := d.set(t); err != nil {
		s.Fatalf("%s: %v", d.name, err)
	}
}

// Promises about deadlines.
var deadlinePromises = []promise{
	{name: "PastReadDeadline", tryRead: func(s *suite, op readOp) {
		for _, d := range s.readDeadlines() {
			s.set(d, longAgo)
			for range 2 {
				n, err := op.do(s.buffer())
				s.failed(op.name+" after "+d.name+" to the past", err, os.ErrDeadlineExceeded)
				if n != 0 {
					s.Errorf("%s returned %d and %v", op.name, n, err)
				}
			}
			// Nothing is lost, and the zero time means no deadline.
			s.send(s.a, s.frameAB(s.small(), 1))
			s.set(d, noDeadline)
			s.expectWith(op, s.frameAB(s.small(), 1))
		}
	}},
	{name: "PastWriteDeadline", tryWrite: func(s *suite, op writeOp) {
		for _, d := range s.writeDeadlines() {
			s.set(d, longAgo)
			for range 2 {
				n, err := op.do(s.frameAB(s.small(), 1))
				s.failed(op.name+" after "+d.name+" to the past", err, os.ErrDeadlineExceeded)
				if n != 0 {
					s.Errorf("%s returned %d and %v", op.name, n, err)
				}
			}
			s.set(d, noDeadline)
			s.nothingSent(op.name + " after " + d.name + " to the past")
		}
	}},
	{name: "FutureReadDeadline", tryRead: func(s *suite, op readOp) {
		for _, d := range s.readDeadlines() {
			begin := time.Now()
			s.set(d, begin.Add(soon))
			_, err := op.do(s.buffer())
			if took := time.Since(begin); took < soon {
				s.Errorf("%s returned %v before the deadline set with %s: %v", op.name, soon-took, d.name, err)
			}
			s.failed(op.name+" after "+d.name, err, os.ErrDeadlineExceeded)
			s.set(d, noDeadline)
		}
		s.send(s.a, s.frameAB(s.small(), 1))
		s.expectWith(op, s.frameAB(s.small(), 1))
	}},
	{name: "FutureWriteDeadline", tryWrite: func(s *suite, op writeOp) {
		for _, d := range s.writeDeadlines() {
			begin := time.Now()
			s.set(d, begin.Add(soon))
			err := s.keepWriting(op)
			if took := time.Since(begin); took < soon {
				s.Errorf("%s failed %v before the deadline set with %s: %v", op.name, soon-took, d.name, err)
			}
			s.failed(op.name+" after "+d.name, err, os.ErrDeadlineExceeded)
			s.set(d, noDeadline)
		}
	}},
	{name: "ReadDeadlineAppliesToPendingCall", tryRead: func(s *suite, op readOp) {
		for _, d := range s.readDeadlines() {
			for _, in := range []time.Duration{0, soon} {
				t := s.start(func() error { _, err := op.do(s.buffer()); return err })
				t.parked()
				s.set(d, time.Now().Add(in))
				s.failed("waiting "+op.name+" after "+d.name, await(s, op.name+" after "+d.name, t.done), os.ErrDeadlineExceeded)
				s.set(d, noDeadline)
			}
		}
	}},
	{name: "WriteDeadlineAppliesToPendingCall", tryWrite: func(s *suite, op writeOp) {
		for _, d := range s.writeDeadlines() {
			for _, in := range []time.Duration{0, soon} {
				t := s.start(func() error { return s.keepWriting(op) })
				if !s.Lossy {
					t.parked()
				}
				s.set(d, time.Now().Add(in))
				s.failed("waiting "+op.name+" after "+d.name, await(s, op.name+" after "+d.name, t.done), os.ErrDeadlineExceeded)
				s.set(d, noDeadline)
			}
		}
	}},
	{name: "ReadDeadlineCanBeLifted", tryRead: func(s *suite, op readOp) {
		for _, d := range s.readDeadlines() {
			deadline := time.Now().Add(later)
			s.set(d, deadline)
			buf, n := s.buffer(), 0
			t := s.start(func() (err error) { n, err = op.do(buf); return err })
			t.parked()
			s.set(d, noDeadline)
			if !time.Now().Before(deadline) { // too slow a machine to tell anything
				s.send(s.a, s.frameAB(s.small(), 1))
				if err := await(s, op.name, t.done); err != nil {
					s.failed(op.name, err, os.ErrDeadlineExceeded)
					s.expectWith(op, s.frameAB(s.small(), 1))
				}
				continue
			}
			select {
			case err := <-t.done:
				s.Fatalf("%s after its deadline was lifted with %s: %v", op.name, d.name, err)
			case <-time.After(time.Until(deadline) + later/2):
			}
			s.send(s.a, s.frameAB(s.small(), 1))
			if err := await(s, op.name, t.done); err != nil {
				s.Fatalf("%s after its deadline was lifted with %s: %v", op.name, d.name, err)
			}
			s.same(op.name, buf[:n], s.frameAB(s.small(), 1))
		}
	}},
	{name: "WriteDeadlineCanBeLifted", waits: true, tryWrite: func(s *suite, op writeOp) {
		s.set(s.writeDeadlines()[0], time.Now().Add(later))
		s.failed(op.name, s.keepWriting(op), os.ErrDeadlineExceeded)
		s.set(s.writeDeadlines()[0], noDeadline)
		// The queue is full: a write now waits until B reads.
		t := s.start(func() error { _, err := op.do(s.frameAB(s.small(), 1)); return err })
		buf := s.buffer()
		for {
			n, _, err := s.b.ReadFrom(buf)
			if err != nil {
				s.Fatal(err)
			}
			if suiteSeq(buf[:n]) == 1 {
				break
			}
		}
		if err := await(s, op.name, t.done); err != nil {
			s.Fatalf("%s after its deadline was lifted: %v", op.name, err)
		}
	}},
	{name: "DeadlinesAreIndependent", try: func(s *suite) {
		s.set(s.readDeadlines()[0], longAgo) // of B
		s.send(s.b, s.frameBA(s.small(), 1))
		s.expect(s.a, s.frameBA(s.small(), 1))
		s.set(s.writeDeadlines()[0], longAgo) // of A
		s.send(s.b, s.frameBA(s.small(), 2))
		s.expect(s.a, s.frameBA(s.small(), 2))
		if err := errors.Join(s.a.SetDeadline(noDeadline), s.b.SetDeadline(noDeadline)); err != nil {
			s.Fatal(err)
		}
		s.send(s.a, s.frameAB(s.small(), 3))
		s.expect(s.b, s.frameAB(s.small(), 3))
	}},
	{name: "DeadlinesAfterClose", try: func(s *suite) {
		s.a.Close()
		s.b.Close()
		for _, d := range append(s.readDeadlines(), s.writeDeadlines()...) {
			for _, t := range []time.Time{longAgo, noDeadline, time.Now().Add(time.Hour)} {
				s.failed(d.name+" after Close", d.set(t), net.ErrClosed)
			}
		}
	}},
}
