// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"net"

	"github.com/go-vde/sdk/vde"
)

// Promises about the Frames channel and about counters.
var streamPromises = []promise{
	{name: "FramesDelivers", needs: []string{"Frames"}, try: func(s *suite) {
		ch := s.b.(framer).Frames()
		for i, size := range append(s.sizes(), s.small(), s.small()) {
			s.send(s.a, s.frameAB(size, i))
			s.expectOn(ch, s.frameAB(size, i))
		}
		if again := s.b.(framer).Frames(); again != ch {
			s.Error("Frames returns another channel")
		}
	}},
	{name: "FramesOwnsReading", needs: []string{"Frames"}, tryRead: func(s *suite, op readOp) {
		ch := s.b.(framer).Frames()
		n, err := op.do(s.buffer())
		s.failed(op.name+" beside Frames", err, vde.ErrBusy)
		if n != 0 {
			s.Errorf("%s beside Frames returned %d", op.name, n)
		}
		s.send(s.a, s.frameAB(s.small(), 1))
		s.expectOn(ch, s.frameAB(s.small(), 1))
		_, err = op.do(s.buffer())
		s.failed(op.name+" beside Frames", err, vde.ErrBusy)
	}},
	{name: "FramesTakesOverFromAWaitingRead", needs: []string{"Frames"}, tryRead: func(s *suite, op readOp) {
		var tasks []*suiteTask
		for range 3 {
			tasks = append(tasks, s.start(func() error { _, err := op.do(s.buffer()); return err }))
		}
		for _, t := range tasks {
			t.parked()
		}
		ch := s.b.(framer).Frames()
		for _, t := range tasks {
			s.failed("waiting "+op.name+" when Frames starts", await(s, op.name+" when Frames starts", t.done), vde.ErrBusy)
		}
		s.send(s.a, s.frameAB(s.small(), 1))
		s.expectOn(ch, s.frameAB(s.small(), 1))
	}},
	{name: "FramesAreTheReceiversToKeep", needs: []string{"Frames"}, try: func(s *suite) {
		ch := s.b.(framer).Frames()
		n := s.burst(30)
		var kept []vde.Frame
		for i := range n {
			s.send(s.a, s.frameAB(s.small(), i))
			f, ok := await(s, "a frame on the channel", optional(ch)).get()
			if !ok {
				s.Fatalf("the channel is closed after %d frames", i)
			}
			kept = append(kept, f)
		}
		s.b.Close() // buffers outlive the connection
		for i, f := range kept {
			s.same("a frame kept from the channel", f.View(), s.frameAB(s.small(), i))
			f.Release()
		}
	}},
	{name: "FramesLosesNothingWhenFull", needs: []string{"Frames"}, waits: true, try: func(s *suite) {
		ch := s.b.(framer).Frames()
		const total = 3000
		t := s.start(func() error {
			for i := range total {
				if _, err := s.a.WriteTo(s.frameAB(s.small(), i), nil); err != nil {
					return err
				}
			}
			return nil
		})
		t.parked() // by a channel and queues that are all full
		for i := range total {
			s.expectOn(ch, s.frameAB(s.small(), i))
		}
		if err := await(s, "writer", t.done); err != nil {
			s.Fatal(err)
		}
	}},
	{name: "FramesEndsAtClose", needs: []string{"Frames"}, try: func(s *suite) {
		ch, idle := s.b.(framer).Frames(), s.a.(framer).Frames()
		s.a.Close() // with nothing received, ever
		if f, ok := await(s, "the end of the channel", optional(idle)).get(); ok {
			s.Errorf("a frame of %d bytes out of nowhere", len(f.View()))
			f.Release()
		}
		s.b.Close()
		for range 2 {
			if f, ok := await(s, "the end of the channel", optional(ch)).get(); ok {
				s.Errorf("a frame of %d bytes out of nowhere", len(f.View()))
				f.Release()
			}
		}
		if s.b.(framer).Frames() != ch {
			s.Error("Frames returns another channel after Close")
		}
		if c, ok := s.b.(contexter); ok && c.Err() != net.ErrClosed {
			s.Errorf("Err after the end of the channel is %v", c.Err())
		}
	}},
	{name: "FramesKeepsQueuedFramesAtClose", needs: []string{"Frames", "Stats"}, try: func(s *suite) {
		ch := s.b.(framer).Frames()
		n := s.burst(10)
		for i := range n {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		// Once a frame has been received, frames are being delivered.
		s.expectOn(ch, s.frameAB(s.small(), 0))
		s.b.Close()
		got := 1
		for f := range ch {
			s.same("a frame left on the channel", f.View(), s.frameAB(s.small(), got))
			f.Release()
			got++
		}
		if st := s.b.(statser).Stats(); st.RxFrames != uint64(got) {
			s.Errorf("%d frames came through the channel, and RxFrames counts %d", got, st.RxFrames)
		}
	}},
	{name: "FramesAfterClose", needs: []string{"Frames"}, try: func(s *suite) {
		s.b.Close()
		if f, ok := await(s, "the channel of a closed connection", optional(s.b.(framer).Frames())).get(); ok {
			s.Error("a frame from a closed connection")
			f.Release()
		}
	}},
	{name: "FramesAndWriting", needs: []string{"Frames"}, try: func(s *suite) {
		ch := s.a.(framer).Frames()
		for i := range 50 {
			s.send(s.a, s.frameAB(s.small(), i))
			s.expect(s.b, s.frameAB(s.small(), i))
			s.send(s.b, s.frameBA(s.small(), i))
			s.expectOn(ch, s.frameBA(s.small(), i))
		}
	}},
	{name: "StatsAddUp", needs: []string{"Stats"}, try: func(s *suite) {
		if a, b := s.a.(statser).Stats(), s.b.(statser).Stats(); a.TxFrames != 0 || b.RxFrames != 0 {
			s.Errorf("before the first frame: %+v, %+v", a, b)
		}
		frames, size := uint64(0), uint64(0)
		for i, w := range s.writeOps(s.a) {
			for j, r := range s.readOps(s.b) {
				f := s.frameAB(s.small()+i, j)
				s.write(w, f)
				s.expectWith(r, f)
				frames++
				size += uint64(len(f))
			}
			// What is refused is not sent.
			if _, err := w.do(s.frameAB(s.MaxFrame+1, 0)); err == nil {
				s.Errorf("%s of %d bytes succeeds", w.name, s.MaxFrame+1)
			}
		}
		for _, op := range s.batchOps(s.a) {
			batch := s.framesAB(s.burst(100), s.small())
			if n, err := op.do(batch); n != len(batch) || err != nil {
				s.Fatalf("%s: %d, %v", op.name, n, err)
			}
			s.expectAll(batch)
			frames += uint64(len(batch))
			for _, f := range batch {
				size += uint64(len(f))
			}
		}
		a, b := s.a.(statser).Stats(), s.b.(statser).Stats()
		if a.TxFrames != frames || a.TxBytes != size || a.TxCalls < 1 || a.TxCalls > frames {
			s.Errorf("sent %d frames, %d bytes; counted %+v", frames, size, a)
		}
		if b.RxFrames != frames || b.RxBytes != size || b.RxCalls < 1 || b.RxCalls > frames {
			s.Errorf("received %d frames, %d bytes; counted %+v", frames, size, b)
		}
		if a.RxFrames != 0 || b.TxFrames != 0 || b.RxRunts != 0 || b.RxTruncated != 0 || a.TxFull != 0 {
			s.Errorf("counted what did not happen: %+v, %+v", a, b)
		}
		// The counters stay after Close.
		s.a.Close()
		if again := s.a.(statser).Stats(); again.TxFrames != a.TxFrames || again.TxBytes != a.TxBytes {
			s.Errorf("after Close: %+v, before: %+v", again, a)
		}
	}},
	{name: "StatsCountFrames", needs: []string{"Stats", "Frames"}, try: func(s *suite) {
		ch := s.b.(framer).Frames()
		n := s.burst(50)
		for i := range n {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		for i := range n {
			s.expectOn(ch, s.frameAB(s.small(), i))
		}
		if st := s.b.(statser).Stats(); st.RxFrames != uint64(n) || st.RxBytes != uint64(n*s.small()) {
			s.Errorf("received %d frames of %d bytes; counted %+v", n, s.small(), st)
		}
	}},
}

// expectOn receives from ch, which must yield want, and releases it.
func (s *suite) expectOn(ch <-chan vde.Frame, want []byte) {
	s.Helper()
	f, ok := await(s, "a frame on the channel", optional(ch)).get()
	if !ok {
		s.Fatalf("the channel is closed instead of yielding frame %d", suiteSeq(want))
	}
	defer f.Release()
	s.same("Frames", f.View(), want)
}

// A maybe is what a receive from a channel returns.
type maybe[T any] struct {
	v  T
	ok bool
}

func (m maybe[T]) get() (T, bool) { return m.v, m.ok }

// optional receives once from ch, or its end, in a form for await.
func optional[T any](ch <-chan T) <-chan maybe[T] {
	out := make(chan maybe[T], 1)
	go func() {
		v, ok := <-ch
		out <- maybe[T]{v, ok}
	}()
	return out
}
