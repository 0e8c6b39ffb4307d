// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/testutil"
)

// programs is where the peers of other languages are built.
var programs string

// reversed lets the contenders of each comparison run in the other order. The
// machine may change between the first and the last; in a report every other round
// is reversed.
var reversed = flag.Bool("reversed", false, "benchmark the contenders of each comparison in reverse order")

// histograms is where round trip times go, besides their percentiles.
var histograms = flag.String("histograms", "", "append the histogram of each round trip benchmark to this `file`")

func TestMain(m *testing.M) {
	flag.StringVar(&programs, "programs", "", "keep the compiled peers in this `directory`")
	flag.Parse()
	logrus.SetLevel(logrus.PanicLevel) // gvisor-tap-vsock reports each endpoint that leaves
	os.Exit(func() int {
		if programs == "" {
			dir, err := os.MkdirTemp("", "bench")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			programs = dir
		}
		code := m.Run()
		if bench := flag.Lookup("test.bench"); code == 0 && bench.Value.String() == "" {
			// gVisor's fdbased, which only benchmarks use, leaves its receiver behind.
			if err := goleak.Find(); err != nil {
				fmt.Fprintln(os.Stderr, "goroutines left:", err)
				return 1
			}
		}
		return code
	}())
}

// inOrder returns contenders in the order in which they are to run.
func inOrder[T any](contenders []T) []T {
	if !*reversed {
		return contenders
	}
	contenders = slices.Clone(contenders)
	slices.Reverse(contenders)
	return contenders
}

// A scope is a TB for what is to outlive one call of a benchmark function, which
// the testing package calls several times with growing b.N.
type scope struct {
	testing.TB
	ctx      context.Context
	cancel   context.CancelFunc
	cleanups []func()
}

func newScope(b *testing.B) *scope {
	s := &scope{TB: b}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *scope) Cleanup(f func())         { s.cleanups = append(s.cleanups, f) }
func (s *scope) Context() context.Context { return s.ctx }
func (s *scope) TempDir() string          { return testutil.ShortDir(s) }

// close ends everything that was made in the scope. What goes wrong is reported
// to b.
func (s *scope) close(b *testing.B) {
	s.TB = b
	s.cancel()
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		f := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		f()
	}
}

// leaf runs a benchmark whose subject is opened once.
func leaf[T any](b *testing.B, name string, open func(t testing.TB) T, run func(subject T, b *testing.B)) {
	var s *scope
	var subject T
	b.Run(name, func(b *testing.B) {
		if s == nil {
			s = newScope(b)
			subject = open(s)
			warm(b, subject)
		}
		s.TB = b
		b.ResetTimer()
		run(subject, b)
	})
	if s != nil {
		s.close(b)
	}
}

// warm lets some frames pass, so that the first call, which may be the only one,
// finds everything in its place.
func warm(b *testing.B, s any) {
	var err error
	switch s := s.(type) {
	case lane:
		_, err = s.move(2 * batch)
	case pinger:
		_, err = s.ping(2*batch, 0)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// A load is what a benchmark sends.
type load struct {
	name  string
	sizes []int
}

func newLoad(tb testing.TB, name string) load {
	sizes, err := peer.Sizes(name)
	if err != nil {
		tb.Fatal(err)
	}
	return load{name, sizes}
}

func (l load) max() int { return slices.Max(l.sizes) }

// list is the sizes as the programs in testdata take them.
func (l load) list() string {
	words := make([]string, len(l.sizes))
	for i, n := range l.sizes {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

// A figure is what came of n frames.
type figure struct {
	peer.Tally
	elapsed time.Duration
}

// A lane moves frames from A to B.
type lane interface {
	move(n int) (figure, error)
}

// A subject is a lane and what else it needs a processor for.
type subject struct {
	lane
	pids  []int // other processes at work
	local bool  // the frames are moved in this process alone
}

// bench moves b.N frames and reports how it went.
func (s subject) bench(b *testing.B, l load) {
	if s.local {
		b.ReportAllocs()
	}
	before := s.spent(b)
	f, err := s.move(b.N)
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	cpu := s.spent(b).minus(before)
	n := uint64(b.N)
	if f.Frames > n {
		b.Fatalf("%d frames sent, %d received", n, f.Frames)
	}
	if f.Frames == 0 {
		b.Fatalf("none of %d frames received", n)
	}
	if len(l.sizes) == 1 && f.Bytes != f.Frames*uint64(l.sizes[0]) {
		b.Fatalf("%d frames of %d bytes came as %d bytes", f.Frames, l.sizes[0], f.Bytes)
	}
	seconds := f.elapsed.Seconds()
	b.ReportMetric(float64(f.elapsed.Nanoseconds())/float64(f.Frames), "ns/op")
	b.ReportMetric(float64(f.Frames)/seconds, "frames/s")
	b.ReportMetric(float64(f.Bytes)*8/1e9/seconds, "Gbit/s")
	b.ReportMetric(100*float64(n-f.Frames)/float64(n), "%lost")
	b.ReportMetric(cpu.total().Seconds()/float64(f.Frames)*1e6, "cpu-s/Mframe")
	if f.Calls > 0 {
		b.ReportMetric(float64(f.Frames)/float64(f.Calls), "frames/call")
	}
	if s.local {
		b.ReportMetric(100*cpu.system.Seconds()/max(cpu.total().Seconds(), 1e-9), "%kernel")
	}
}

// A cpu is processor time: of this process in user code and in the kernel, and of
// other processes.
type cpu struct{ user, system, others time.Duration }

func (c cpu) total() time.Duration { return c.user + c.system + c.others }

func (c cpu) minus(d cpu) cpu { return cpu{c.user - d.user, c.system - d.system, c.others - d.others} }

// spent returns the processor time that all processes involved have used so far.
func (s subject) spent(b *testing.B) cpu {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	c := cpu{user: time.Duration(r.Utime.Nano()), system: time.Duration(r.Stime.Nano())}
	for _, pid := range s.pids {
		d, err := processTime(pid)
		if err != nil {
			b.Fatal(err)
		}
		c.others += d
	}
	return c
}

// processTime is the time that the threads of a process have been on a processor.
func processTime(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return 0, err
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has just ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// A pair is a lane between two endpoints of this process.
type pair struct {
	a, b peer.Endpoint
	l    *peer.Load
	run  uint64
}

func newPair(t testing.TB, a, b peer.Endpoint, l load, batch int) *pair {
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	p := &pair{a: a, b: b, l: peer.NewLoad(l.sizes, batch, peer.B, peer.A)}
	p.hello(t)
	return p
}

// hello returns when all that is between the endpoints knows where B is: what B
// broadcasts has reached A. (Not every switch floods frames to unknown
// addresses.)
func (p *pair) hello(t testing.TB) {
	stop := make(chan struct{})
	called := make(chan error, 1)
	go func() { called <- peer.Mark(p.b, peer.Broadcast, peer.B, hello, stop) }()
	_, err := peer.Count(p.a, hello)
	close(stop)
	if err := errors.Join(err, <-called); err != nil {
		t.Fatal(err)
	}
}

// hello is no number of a run.
const hello = 1 << 62

func (p *pair) move(n int) (f figure, err error) {
	p.run++
	type result struct {
		start int64
		err   error
	}
	stop := make(chan struct{})
	flooded := make(chan result, 1)
	go func() {
		start, err := peer.Flood(p.a, p.l, peer.B, peer.A, n, p.run, stop)
		if err != nil {
			p.b.Close() // or the receiver would wait for ever
		}
		flooded <- result{start, err}
	}()
	f.Tally, err = peer.Count(p.b, p.run)
	close(stop)
	if err != nil {
		p.a.Close()
	}
	r := <-flooded
	if r.err != nil {
		return f, r.err
	}
	f.elapsed = time.Duration(f.End - r.start)
	return f, err
}
