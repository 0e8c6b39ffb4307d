// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// A batchOp is one way to write several frames.
type batchOp struct {
	name string
	do   func(frames [][]byte) (n int, err error)
}

// batchOps returns those that wait while a queue is full.
func (s *suite) batchOps(c net.PacketConn) []batchOp {
	var ops []batchOp
	if w, ok := c.(batchWriter); ok {
		ops = append(ops, batchOp{"WriteBatch", w.WriteBatch})
	}
	if w, ok := c.(buffersWriter); ok {
		ops = append(ops, batchOp{"WriteBuffers", func(frames [][]byte) (int, error) {
			return w.WriteBuffers(inPieces(frames))
		}})
	}
	return ops
}

// inPieces cuts each frame into different pieces, some of them empty.
func inPieces(frames [][]byte) []net.Buffers {
	bufs := make([]net.Buffers, len(frames))
	for i, f := range frames {
		switch k := min(len(f), 1+i%20); i % 4 {
		case 0:
			bufs[i] = net.Buffers{f}
		case 1:
			bufs[i] = net.Buffers{f[:k], f[k:]}
		case 2:
			bufs[i] = net.Buffers{nil, f[:k], {}, f[k:], nil}
		case 3:
			for len(f) > 0 {
				k := (len(f) + 6) / 7
				bufs[i] = append(bufs[i], f[:k])
				f = f[k:]
			}
		}
	}
	return bufs
}

// framesAB returns frames number 0 to n-1 of lengths from size on.
func (s *suite) framesAB(n, size int) [][]byte {
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = s.frameAB(min(size+i%50, s.MaxFrame), i)
	}
	return frames
}

// expectAll reads frames at B until want has arrived.
func (s *suite) expectAll(want [][]byte) {
	s.Helper()
	for i, f := range want {
		if s.Failed() {
			s.Fatalf("%d of %d frames arrived", i, len(want))
		}
		s.expect(s.b, f)
	}
}

// noAllocs checks that f allocates nothing.
func (s *suite) noAllocs(what string, f func()) {
	s.Helper()
	for range 10 {
		f() // what is allocated once, on first use
	}
	if n := testing.AllocsPerRun(200, f); n > 0 {
		s.Errorf("%s: %v allocations", what, n)
	}
}

// Promises about batches.
var batchPromises = []promise{
	{name: "ReadBatchFillsFromTheFront", needs: []string{"ReadBatch"}, try: func(s *suite) {
		for _, size := range []int{1, 4, 300} {
			total := s.burst(40)
			for i := range total {
				s.send(s.a, s.frameAB(s.small()+i, i))
			}
			bufs := make([][]byte, size)
			for got := 0; got < total; {
				slab := make([]byte, size*s.MaxFrame)
				for i := range bufs {
					bufs[i] = slab[i*s.MaxFrame:][:s.MaxFrame]
				}
				n, err := s.b.(batchReader).ReadBatch(bufs)
				if err != nil || n < 1 || n > min(size, total-got) {
					s.Fatalf("ReadBatch of %d returned %d, %v, with %d frames to come", size, n, err, total-got)
				}
				for i, b := range bufs {
					switch {
					case i < n:
						s.same("ReadBatch", b, s.frameAB(s.small()+got+i, got+i))
						if &b[0] != &slab[i*s.MaxFrame] {
							s.Errorf("ReadBatch changed the order of its elements with nothing discarded")
						}
					case len(b) != s.MaxFrame:
						s.Errorf("ReadBatch returned %d and re-sliced element %d to %d bytes", n, i, len(b))
					}
				}
				got += n
			}
		}
	}},
	{name: "ReadBatchKeepsWithinLength", needs: []string{"ReadBatch"}, try: func(s *suite) {
		// Windows cut from one slab, each of which could grow into the next.
		size := s.small()
		const windows = 4
		slab := bytes.Repeat([]byte{0xa5}, windows*2*size)
		bufs := make([][]byte, windows)
		for i := range bufs {
			bufs[i] = slab[i*2*size:][:size]
		}
		for i := range windows {
			s.send(s.a, s.frameAB(size, i))
			s.send(s.a, s.frameAB(size+10, 100)) // too long for a window
		}
		for got := 0; got < windows; {
			n, err := s.b.(batchReader).ReadBatch(bufs[got:])
			if err != nil {
				s.Fatal(err)
			}
			for i := range n {
				s.same("ReadBatch", bufs[got+i], s.frameAB(size, got+i))
			}
			got += n
		}
		for i := range windows {
			if !bytes.Equal(slab[i*2*size+size:][:size], bytes.Repeat([]byte{0xa5}, size)) {
				s.Errorf("ReadBatch wrote beyond the length of a buffer")
			}
		}
	}},
	{name: "ReadBatchDiscardsTruncated", needs: []string{"ReadBatch", "Stats"}, try: func(s *suite) {
		size := s.small()
		s.send(s.a, s.frameAB(size+1, 1))
		s.send(s.a, s.frameAB(size, 2))
		s.send(s.a, s.frameAB(size+2, 3))
		s.send(s.a, s.frameAB(size, 4))
		for _, seq := range []int{2, 4} {
			s.expectWith(readOp{"ReadBatch", func(p []byte) (int, error) {
				return s.reader(s.b, "ReadBatch").do(p[:size])
			}}, s.frameAB(size, seq))
		}
		if st := s.b.(statser).Stats(); st.RxTruncated != 2 || st.RxFrames != 2 {
			s.Errorf("%d frames counted, and %d as truncated; want 2 and 2", st.RxFrames, st.RxTruncated)
		}
	}},
	{name: "ConcurrentReadBatchesShareFrames", needs: []string{"ReadBatch"}, try: func(s *suite) {
		total := s.burst(1000)
		got := make(chan []byte, total)
		var readers []*suiteTask
		for range 3 {
			readers = append(readers, s.start(func() error {
				bufs := make([][]byte, 16)
				for {
					for i := range bufs {
						bufs[i] = make([]byte, s.MaxFrame)
					}
					n, err := s.b.(batchReader).ReadBatch(bufs)
					if err != nil {
						return err
					}
					for _, b := range bufs[:n] {
						got <- b
					}
				}
			}))
		}
		for i := range total {
			s.send(s.a, s.frameAB(s.small(), i))
		}
		seen := make([]bool, total)
		for range total {
			f := await(s, "frames for several batches", got)
			i := suiteSeq(f)
			if i < 0 || i >= total || seen[i] {
				s.Fatalf("frame %d came twice or never was", i)
			}
			seen[i] = true
			s.same("ReadBatch", f, s.frameAB(s.small(), i))
		}
		s.b.Close()
		for _, r := range readers {
			s.failed("ReadBatch at Close", await(s, "reader", r.done), net.ErrClosed)
		}
	}},
	{name: "WriteBatchSendsInOrder", needs: []string{"WriteBatch"}, try: func(s *suite) {
		for _, op := range s.batchOps(s.a) {
			for _, total := range []int{1, 2, s.burst(63), s.burst(65), s.burst(3000)} {
				frames := s.framesAB(total, s.small())
				t := s.start(func() error {
					if n, err := op.do(frames); n != len(frames) || err != nil {
						s.Errorf("%s of %d frames returned %d, %v", op.name, len(frames), n, err)
					}
					return nil
				})
				s.expectAll(frames)
				await(s, op.name, t.done)
				for i, f := range frames {
					s.same(op.name+" modified its argument", f, s.frameAB(len(f), i))
				}
			}
		}
	}},
	{name: "EmptyBatch", needs: []string{"WriteBatch"}, try: func(s *suite) {
		for _, op := range s.batchOps(s.a) {
			if n, err := op.do(nil); n != 0 || err != nil {
				s.Errorf("%s of no frames returned %d, %v", op.name, n, err)
			}
		}
		s.nothingSent("a batch of no frames")
	}},
	{name: "WriteBatchStopsAtAWrongSize", needs: []string{"WriteBatch"}, try: func(s *suite) {
		ops := s.batchOps(s.a)
		if w, ok := s.a.(tryWriter); ok {
			ops = append(ops, batchOp{"TryWriteBatch", w.TryWriteBatch})
		}
		for _, op := range ops {
			for _, wrong := range []int{0, frame.HeaderLen - 1, s.MaxFrame + 1} {
				frames := s.framesAB(5, s.small())
				frames[3] = s.frameAB(wrong, 3)
				n, err := op.do(frames)
				if n != 3 || err == nil {
					s.Fatalf("%s with %d bytes as frames[3] returned %d, %v", op.name, wrong, n, err)
				}
				s.dressed(op.name+" with a wrong size", err)
				if errors.Is(err, vde.ErrFull) {
					s.Errorf("%s with a wrong size: %v", op.name, err)
				}
				// The caller may continue with the frame after it.
				if n, err := op.do(frames[4:]); n != 1 || err != nil {
					s.Fatalf("%s of the rest returned %d, %v", op.name, n, err)
				}
				for _, i := range []int{0, 1, 2, 4} {
					s.expect(s.b, frames[i])
				}
			}
		}
	}},
	{name: "WriteBatchWaitsForTheReader", needs: []string{"WriteBatch"}, waits: true, try: func(s *suite) {
		for _, op := range s.batchOps(s.a) {
			frames := s.framesAB(2000, s.big()-50)
			t := s.start(func() error {
				if n, err := op.do(frames); n != len(frames) || err != nil {
					s.Errorf("%s of %d frames returned %d, %v", op.name, len(frames), n, err)
				}
				return nil
			})
			t.parked()
			s.expectAll(frames)
			await(s, op.name, t.done)
		}
	}},
	{name: "WriteBatchCountIsExact", needs: []string{"WriteBatch"}, waits: true, try: func(s *suite) {
		for _, op := range s.batchOps(s.a) {
			frames := s.framesAB(4000, s.big()-50)
			var n int
			for wait := soon; n == 0; wait *= 2 { // a busy machine may miss the first
				if err := s.a.SetWriteDeadline(time.Now().Add(wait)); err != nil {
					s.Fatal(err)
				}
				var err error
				if n, err = op.do(frames); err == nil {
					s.Fatalf("%s of %d frames was never held up", op.name, len(frames))
				}
				s.failed(op.name+" with a deadline", err, os.ErrDeadlineExceeded)
			}
			if n >= len(frames) {
				s.Fatalf("%s returned %d of %d and an error", op.name, n, len(frames))
			}
			if err := s.a.SetWriteDeadline(noDeadline); err != nil {
				s.Fatal(err)
			}
			// These have been sent, and frames[n] has not.
			s.expectAll(frames[:n])
			s.nothingSent(op.name + " beyond its count")
		}
	}},
	{name: "WriteBuffersGathers", needs: []string{"WriteBuffers"}, try: func(s *suite) {
		n := s.burst(40)
		frames := s.framesAB(n, s.small())
		bufs, again := inPieces(frames), inPieces(frames)
		if got, err := s.a.(buffersWriter).WriteBuffers(bufs); got != n || err != nil {
			s.Fatalf("WriteBuffers of %d frames returned %d, %v", n, got, err)
		}
		// net.Buffers.WriteTo consumes its slices; WriteBuffers must not.
		for i := range bufs {
			if len(bufs[i]) != len(again[i]) {
				s.Fatalf("WriteBuffers left %d of %d pieces of frame %d", len(bufs[i]), len(again[i]), i)
			}
			for j := range bufs[i] {
				if !bytes.Equal(bufs[i][j], again[i][j]) {
					s.Fatalf("WriteBuffers modified piece %d of frame %d", j, i)
				}
			}
		}
		s.expectAll(frames)
	}},
	{name: "TryWriteBatchSends", needs: []string{"TryWriteBatch"}, try: func(s *suite) {
		for _, total := range []int{0, 1, s.burst(40)} {
			frames := s.framesAB(total, s.small())
			if n, err := s.a.(tryWriter).TryWriteBatch(frames); n != total || err != nil {
				s.Fatalf("TryWriteBatch of %d frames returned %d, %v", total, n, err)
			}
			s.expectAll(frames)
		}
	}},
	{name: "TryWriteBatchNeverWaits", needs: []string{"TryWriteBatch", "Stats"}, waits: true, try: func(s *suite) {
		frames := s.framesAB(40_000, s.small()) // more than any queues hold
		before := s.a.(statser).Stats()
		n, err := s.a.(tryWriter).TryWriteBatch(frames)
		if n == len(frames) {
			s.Fatalf("%d frames went into the queue", n)
		}
		s.failed("TryWriteBatch of more than fits", err, vde.ErrFull)
		after := s.a.(statser).Stats()
		if full := after.TxFull - before.TxFull; full != uint64(len(frames)-n) {
			s.Errorf("TryWriteBatch sent %d of %d frames, and TxFull counts %d", n, len(frames), full)
		}
		if sent := after.TxFrames - before.TxFrames; sent != uint64(n) {
			s.Errorf("TryWriteBatch sent %d frames, and TxFrames counts %d", n, sent)
		}
		s.expectAll(frames[:n])
		s.nothingSent("TryWriteBatch beyond its count")
	}},
	{name: "TryWriteBatchDoesNotWaitForAWriter", needs: []string{"TryWriteBatch"}, waits: true, try: func(s *suite) {
		for _, op := range s.writeOps(s.a) {
			writer := s.start(func() error { return s.keepWriting(op) })
			writer.parked()
			t := s.start(func() error {
				for {
					n, err := s.a.(tryWriter).TryWriteBatch([][]byte{s.frameAB(s.big(), 0)})
					if n == 0 || err != nil {
						return err
					}
				}
			})
			s.failed("TryWriteBatch beside a waiting "+op.name, await(s, "TryWriteBatch beside a waiting "+op.name, t.done), vde.ErrFull)
			if err := s.a.SetWriteDeadline(longAgo); err != nil {
				s.Fatal(err)
			}
			s.failed(op.name, await(s, op.name, writer.done), os.ErrDeadlineExceeded)
			if err := s.a.SetWriteDeadline(noDeadline); err != nil {
				s.Fatal(err)
			}
		}
	}},
	{name: "NoAllocationsInBatches", needs: []string{"ReadBatch", "WriteBatch"}, allocs: true, try: func(s *suite) {
		total := s.burst(32)
		frames := s.framesAB(total, s.small())
		slab := make([]byte, total*s.MaxFrame)
		bufs := make([][]byte, total)
		readAll := func() {
			for got := 0; got < total; {
				for i := range bufs {
					bufs[i] = slab[i*s.MaxFrame:][:s.MaxFrame]
				}
				n, err := s.b.(batchReader).ReadBatch(bufs[:total-got])
				if err != nil {
					s.Fatal(err)
				}
				got += n
			}
		}
		s.noAllocs("WriteBatch and ReadBatch", func() {
			if n, err := s.a.(batchWriter).WriteBatch(frames); n != total || err != nil {
				s.Fatal(n, err)
			}
			readAll()
		})
		if w, ok := s.a.(buffersWriter); ok {
			pieces := inPieces(frames)
			s.noAllocs("WriteBuffers and ReadBatch", func() {
				if n, err := w.WriteBuffers(pieces); n != total || err != nil {
					s.Fatal(n, err)
				}
				readAll()
			})
		}
		if w, ok := s.a.(tryWriter); ok {
			s.noAllocs("TryWriteBatch and ReadBatch", func() {
				if n, err := w.TryWriteBatch(frames); n != total || err != nil {
					s.Fatal(n, err)
				}
				readAll()
			})
		}
	}},
}
