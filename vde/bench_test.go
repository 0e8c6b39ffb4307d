// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
)

// The benchmarks move frames from one Conn to another over a datagram pair
// without a switch in between. Each iteration is one round of roundFrames
// frames; figures are medians over the rounds.
const roundFrames = 200_000

// A figure is what the receiver of one round saw.
type figure struct {
	elapsed time.Duration // from the first frame to the last
	calls   uint64        // receiving system calls
}

func (f figure) rate() float64 { return roundFrames / f.elapsed.Seconds() }

// median returns the middle one of what get makes of the figures.
func median(fs []figure, get func(figure) float64) float64 {
	vs := make([]float64, len(fs))
	for i, f := range fs {
		vs[i] = get(f)
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}

func perCall(f figure) float64 { return roundFrames / float64(f.calls) }

// A sendFunc sends some of frames, which are the same in each call but for
// their number, and returns how many.
type sendFunc func(c *vde.Conn, frames [][]byte) (int, error)

// An operation is a way to move frames with Conns.
type operation struct {
	name  string
	send  sendFunc
	batch int
	recv  func(b *testing.B, c *vde.Conn, bufs [][]byte) // receives roundFrames
}

var operations = []operation{
	{"single", sendOne, 1, recvOne},
	{"batch8", (*vde.Conn).WriteBatch, 8, recvBatch},
	{"batch32", (*vde.Conn).WriteBatch, 32, recvBatch},
	{"buffers32", sendPieces(32), 32, recvBatch},
	{"frames", (*vde.Conn).WriteBatch, 32, recvFrames},
}

func sendOne(c *vde.Conn, frames [][]byte) (int, error) {
	_, err := c.Write(frames[0])
	return 1, err
}

// sendPieces sends each frame as header and payload.
func sendPieces(batch int) sendFunc {
	pieces := make([]net.Buffers, batch)
	return func(c *vde.Conn, frames [][]byte) (int, error) {
		for i, f := range frames {
			pieces[i] = append(pieces[i][:0], f[:frame.HeaderLen], f[frame.HeaderLen:])
		}
		return c.WriteBuffers(pieces[:len(frames)])
	}
}

func recvOne(b *testing.B, c *vde.Conn, bufs [][]byte) {
	for range roundFrames {
		if _, err := c.Read(bufs[0]); err != nil {
			b.Error(err)
			return
		}
	}
}

func recvBatch(b *testing.B, c *vde.Conn, bufs [][]byte) {
	windows := make([][]byte, len(bufs))
	for got := 0; got < roundFrames; {
		copy(windows, bufs)
		n, err := c.ReadBatch(windows)
		if err != nil {
			b.Error(err)
			return
		}
		got += n
	}
}

func recvFrames(_ *testing.B, c *vde.Conn, _ [][]byte) {
	for range roundFrames {
		f := <-c.Frames()
		f.Release()
	}
}

// BenchmarkConn reports each operation's rate.
func BenchmarkConn(b *testing.B) {
	for _, op := range operations {
		for _, size := range []int{64, 1514, 9014} {
			b.Run(fmt.Sprintf("op=%s/size=%d", op.name, size), func(b *testing.B) {
				round := connRounds(b, op, size)
				var figures []figure
				for b.Loop() {
					figures = append(figures, round())
				}
				b.ReportMetric(median(figures, figure.rate), "frames/s")
				b.ReportMetric(median(figures, perCall), "frames/call")
			})
		}
	}
}

// BenchmarkAgainstC alternates rounds of Conns with rounds of the same system
// calls in plain C, and reports the ratio of the medians: more than 1 means
// that Go is faster.
func BenchmarkAgainstC(b *testing.B) {
	testpeers.Need(b, "gcc")
	program := filepath.Join(b.TempDir(), "pair")
	if out, err := exec.Command("gcc", "-O2", "-Wall", "-o", program, "testdata/pair.c").CombinedOutput(); err != nil {
		b.Fatalf("gcc: %v\n%s", err, out)
	}
	for _, size := range []int{64, 1514, 9014} {
		for _, op := range operations {
			for _, mode := range []string{"mmsg", "one"} {
				if op.name == "single" && mode == "mmsg" {
					continue
				}
				b.Run(fmt.Sprintf("size=%d/op=%s/c=%s", size, op.name, mode), func(b *testing.B) {
					round := connRounds(b, op, size)
					var goFigures, cFigures []figure
					for b.Loop() {
						goFigures = append(goFigures, round())
						cFigures = append(cFigures, cRound(b, program, mode, size, op.batch))
					}
					ours, theirs := median(goFigures, figure.rate), median(cFigures, figure.rate)
					b.ReportMetric(ours, "go-frames/s")
					b.ReportMetric(theirs, "c-frames/s")
					b.ReportMetric(median(goFigures, perCall), "go-frames/call")
					b.ReportMetric(median(cFigures, perCall), "c-frames/call")
					b.ReportMetric(ours/theirs, "go/c")
				})
			}
		}
	}
}

// BenchmarkFramesAgainstReadBatch alternates the two ways to receive.
func BenchmarkFramesAgainstReadBatch(b *testing.B) {
	for _, size := range []int{64, 1514, 9014} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			batches := connRounds(b, operations[2], size)
			frames := connRounds(b, operations[4], size)
			var ofBatches, ofFrames []figure
			for b.Loop() {
				ofBatches = append(ofBatches, batches())
				ofFrames = append(ofFrames, frames())
			}
			b.ReportMetric(median(ofFrames, figure.rate), "frames-frames/s")
			b.ReportMetric(median(ofBatches, figure.rate), "readbatch-frames/s")
			b.ReportMetric(median(ofFrames, perCall), "frames-frames/call")
			b.ReportMetric(median(ofBatches, perCall), "readbatch-frames/call")
			b.ReportMetric(median(ofFrames, figure.rate)/median(ofBatches, figure.rate), "frames/readbatch")
		})
	}
}

// connRounds returns a function that moves roundFrames from one Conn to another.
func connRounds(b *testing.B, op operation, size int) (round func() figure) {
	src, dst, _ := connPair(b)
	bufs := make([][]byte, op.batch)
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	frames := make([][]byte, op.batch)
	for i := range frames {
		frames[i] = make([]byte, size)
		frame.PutHeader(frames[i], frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	}
	return func() figure {
		before := dst.Stats().RxCalls
		sent := make(chan error, 1)
		start := time.Now()
		go func() {
			for n := 0; n < roundFrames; {
				k, err := op.send(src, frames[:min(len(frames), roundFrames-n)])
				if err != nil {
					sent <- err
					return
				}
				n += k
			}
			sent <- nil
		}()
		op.recv(b, dst, bufs)
		elapsed := time.Since(start)
		if err := <-sent; err != nil {
			b.Fatal(err)
		}
		return figure{elapsed, dst.Stats().RxCalls - before}
	}
}

// cRound runs one round in C.
func cRound(b *testing.B, program, mode string, size, batch int) figure {
	b.Helper()
	out, err := exec.Command(program, mode, fmt.Sprint(size), fmt.Sprint(batch), fmt.Sprint(roundFrames)).Output()
	if err != nil {
		b.Fatal(err)
	}
	var ns int64
	var f figure
	if _, err := fmt.Sscan(string(out), &ns, &f.calls); err != nil {
		b.Fatalf("%q: %v", out, err)
	}
	f.elapsed = time.Duration(ns)
	return f
}
