// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

// A Pair is two connections on one network that has no others.
type Pair struct {
	// A and B receive each other's frames. Methods beyond net.PacketConn are
	// found by type assertion and tested for what [vde.Conn] promises of them.
	A, B net.PacketConn

	// Stop releases what joins A and B; both are closed before it is called.
	// It may be nil.
	Stop func()

	// Hangup makes the network hang up on A and B. Frames that A has written
	// before must still be delivered to B. If Hangup is nil, the promises about
	// hangups are not tested.
	Hangup func()
}

// A MakePair returns a new pair. Each promise gets at least one of its own.
type MakePair func(tb testing.TB) (*Pair, error)

// ConnOptions describes how a pair differs from the strictest one, which is the
// zero value.
type ConnOptions struct {
	// MaxFrame is the longest frame that both ends exchange, header included;
	// longer ones must be refused (default [frame.DefaultMaxSize]).
	MaxFrame int

	// MinFrame is the shortest frame that arrives as it was sent, for networks
	// that pad (default [frame.HeaderLen]). A frame shorter than a
	// header must always be refused.
	MinFrame int

	// Lossy says that the network drops frames when a queue is full, as
	// vde_switch does. Few frames are then sent at a time, and
	// promises about full queues are not tested.
	Lossy bool

	// Allocs adds the promise that no method allocates per frame. It counts
	// allocations of the whole process, so nothing else may run meanwhile. It
	// has no effect under the race detector and in leak mode (see package pool),
	// which allocate themselves.
	Allocs bool

	// Timeout is how long one promise may take (default 30 seconds). After it,
	// the stacks of all goroutines are logged and both connections closed.
	Timeout time.Duration
}

// TestPacketConn tests that the connections made by mp keep every promise of
// [vde.Conn] that they are able to make, each in a subtest. Call it from a test
// of the code that makes such connections, as golang.org/x/net/nettest.TestConn.
func TestPacketConn(t *testing.T, mp MakePair, opts ConnOptions) {
	checks, missing := conformanceChecks(t, mp, opts)
	if len(missing) > 0 {
		t.Logf("not tested, because not offered: %s", strings.Join(missing, ", "))
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			if len(c.variants) == 0 {
				c.run(t, "")
			}
			for _, v := range c.variants {
				t.Run(v, func(t *testing.T) { c.run(t, v) })
			}
		})
	}
}

// A promise is one statement of package vde's documentation and its test.
type promise struct {
	name string

	// Exactly one of these is set. The latter two are tried with each method
	// that reads, or writes, on a pair of its own.
	try      func(s *suite)
	tryRead  func(s *suite, op readOp)
	tryWrite func(s *suite, op writeOp)

	needs  []string // names of capabilities; see suite.capabilities
	waits  bool     // not for lossy pairs: a full queue must hold up the writer
	allocs bool     // counts allocations
}

var promises = slices.Concat(framePromises, deadlinePromises, closePromises, batchPromises, streamPromises, hangupPromises)

// A suiteCheck is the test of a promise for one kind of pair.
type suiteCheck struct {
	name     string
	variants []string // methods to try it with
	run      func(tb testing.TB, variant string)
}

// conformanceChecks returns the promises that pairs of mp are able to make, and
// the capabilities they lack.
func conformanceChecks(tb testing.TB, mp MakePair, opts ConnOptions) (checks []suiteCheck, missing []string) {
	tb.Helper()
	if opts.MaxFrame == 0 {
		opts.MaxFrame = frame.DefaultMaxSize
	}
	if opts.MinFrame == 0 {
		opts.MinFrame = frame.HeaderLen
	}
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}

	// One pair shows which methods there are.
	probe := startSuite(tb, mp, opts)
	offered := probe.capabilities()
	var reads, writes []string
	for _, op := range probe.readOps(probe.b) {
		reads = append(reads, op.name)
	}
	for _, op := range probe.writeOps(probe.a) {
		writes = append(writes, op.name)
	}
	probe.stop()
	for _, name := range slices.Sorted(maps.Keys(offered)) {
		if !offered[name] {
			missing = append(missing, name)
		}
	}

	for _, p := range promises {
		if slices.ContainsFunc(p.needs, func(n string) bool { return !offered[n] }) ||
			p.waits && opts.Lossy || p.allocs && (!opts.Allocs || conformanceRace || pool.LeakMode) {
			continue
		}
		c := suiteCheck{name: p.name, run: func(tb testing.TB, variant string) {
			tb.Helper()
			s := startSuite(tb, mp, opts)
			defer s.stop()
			switch {
			case p.try != nil:
				p.try(s)
			case p.tryRead != nil:
				p.tryRead(s, s.reader(s.b, variant))
			default:
				p.tryWrite(s, s.writer(s.a, variant))
			}
		}}
		switch {
		case p.tryRead != nil:
			c.variants = reads
		case p.tryWrite != nil:
			c.variants = writes
		}
		checks = append(checks, c)
	}
	return checks, missing
}

// The methods beyond net.PacketConn.
type (
	singleConn interface {
		Read(p []byte) (n int, err error)
		Write(p []byte) (n int, err error)
	}
	batchReader interface {
		ReadBatch(bufs [][]byte) (n int, err error)
	}
	batchWriter interface {
		WriteBatch(frames [][]byte) (n int, err error)
	}
	buffersWriter interface {
		WriteBuffers(frames []net.Buffers) (n int, err error)
	}
	tryWriter interface {
		TryWriteBatch(frames [][]byte) (n int, err error)
	}
	framer interface {
		Frames() <-chan vde.Frame
	}
	contexter interface {
		Context() context.Context
		Err() error
	}
	statser interface {
		Stats() vde.Stats
	}
)

func (s *suite) capabilities() map[string]bool {
	return map[string]bool{
		"Read and Write":  both[singleConn](s),
		"ReadBatch":       both[batchReader](s),
		"WriteBatch":      both[batchWriter](s),
		"WriteBuffers":    both[buffersWriter](s),
		"TryWriteBatch":   both[tryWriter](s),
		"Frames":          both[framer](s),
		"Context and Err": both[contexter](s),
		"Stats":           both[statser](s),
		"SyscallConn":     both[syscall.Conn](s),
		"Hangup":          s.pair.Hangup != nil,
	}
}

func both[T any](s *suite) bool {
	_, a := s.a.(T)
	_, b := s.b.(T)
	return a && b
}

// A readOp is one way to read one frame, a writeOp to write one.
type (
	readOp struct {
		name string
		do   func(p []byte) (n int, err error)
	}
	writeOp struct {
		name string
		do   func(p []byte) (n int, err error)
	}
)

func (s *suite) readOps(c net.PacketConn) []readOp {
	ops := []readOp{{"ReadFrom", func(p []byte) (int, error) {
		n, _, err := c.ReadFrom(p)
		return n, err
	}}}
	if r, ok := c.(singleConn); ok {
		ops = append(ops, readOp{"Read", r.Read})
	}
	if r, ok := c.(batchReader); ok {
		ops = append(ops, readOp{"ReadBatch", func(p []byte) (int, error) {
			bufs := [][]byte{p}
			n, err := r.ReadBatch(bufs)
			switch {
			case n == 1 && err == nil && (len(bufs[0]) > len(p) || &bufs[0][0] != &p[0]):
				s.Errorf("ReadBatch put another slice into its argument")
			case n == 1 && err == nil:
				n = len(bufs[0])
			case n != 0 || err == nil:
				s.Errorf("ReadBatch of one returned %d, %v", n, err)
			}
			return n, err
		}})
	}
	return ops
}

func (s *suite) writeOps(c net.PacketConn) []writeOp {
	// The methods that count frames are made to count bytes here.
	bytesOf := func(method string, p []byte, n int, err error) (int, error) {
		if n != 0 && n != 1 || (n == 1) != (err == nil) {
			s.Errorf("%s of one returned %d, %v", method, n, err)
		}
		return n * len(p), err
	}
	ops := []writeOp{{"WriteTo", func(p []byte) (int, error) { return c.WriteTo(p, nil) }}}
	if w, ok := c.(singleConn); ok {
		ops = append(ops, writeOp{"Write", w.Write})
	}
	if w, ok := c.(batchWriter); ok {
		ops = append(ops, writeOp{"WriteBatch", func(p []byte) (int, error) {
			n, err := w.WriteBatch([][]byte{p})
			return bytesOf("WriteBatch", p, n, err)
		}})
	}
	if w, ok := c.(buffersWriter); ok {
		ops = append(ops, writeOp{"WriteBuffers", func(p []byte) (int, error) {
			k := min(len(p), 9)
			n, err := w.WriteBuffers([]net.Buffers{{p[:k], p[k:]}})
			return bytesOf("WriteBuffers", p, n, err)
		}})
	}
	return ops
}

func (s *suite) reader(c net.PacketConn, name string) readOp {
	s.Helper()
	for _, op := range s.readOps(c) {
		if op.name == name {
			return op
		}
	}
	s.Fatalf("this pair has no %s", name)
	panic("unreachable")
}

func (s *suite) writer(c net.PacketConn, name string) writeOp {
	s.Helper()
	for _, op := range s.writeOps(c) {
		if op.name == name {
			return op
		}
	}
	s.Fatalf("this pair has no %s", name)
	panic("unreachable")
}

// A suite is the test of one promise on one pair.
type suite struct {
	testing.TB
	ConnOptions
	pair *Pair
	a, b net.PacketConn

	expected []byte // where expectWith reads, from the goroutine of the test

	hung chan struct{} // closed by the watchdog

	mu       sync.Mutex
	watchdog *time.Timer // guarded by mu
	stopped  bool        // guarded by mu; no more logging after it
}

func startSuite(tb testing.TB, mp MakePair, opts ConnOptions) *suite {
	tb.Helper()
	pair, err := mp(tb)
	if err != nil {
		tb.Fatalf("making a pair: %v", err)
	}
	s := &suite{TB: tb, ConnOptions: opts, pair: pair, a: pair.A, b: pair.B, hung: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchdog = time.AfterFunc(opts.Timeout, s.bark)
	return s
}

// bark is called when the test of a promise takes too long. It closes the
// connections, which ends the test. If the test hangs even so, it panics.
func (s *suite) bark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	s.Errorf("hung: not done after %v; all goroutines:\n%s", s.Timeout, stacks)
	close(s.hung)
	more := max(s.Timeout, time.Minute)
	s.watchdog = time.AfterFunc(more, func() {
		panic(fmt.Sprintf("%s: still hung %v after its connections were closed", s.Name(), more))
	})
	go s.a.Close()
	go s.b.Close()
}

func (s *suite) stop() {
	s.a.Close()
	s.b.Close()
	if s.pair.Stop != nil {
		s.pair.Stop()
	}
	s.mu.Lock()
	s.stopped = true
	s.watchdog.Stop()
	s.mu.Unlock()
}

// await receives from ch, unless the watchdog ends the test.
func await[T any](s *suite, what string, ch <-chan T) T {
	s.Helper()
	select {
	case v := <-ch:
		return v
	case <-s.hung:
		s.Fatalf("%s: hung", what)
		panic("unreachable")
	}
}

// A suiteTask is a call in a goroutine of its own.
type suiteTask struct {
	id   string // "goroutine 17 "
	done chan error
}

// start runs f in a goroutine and returns when that has begun.
func (s *suite) start(f func() error) *suiteTask {
	t := &suiteTask{done: make(chan error, 1)}
	began := make(chan struct{})
	go func() {
		var buf [64]byte
		t.id, _, _ = strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), "[")
		close(began)
		t.done <- f()
	}()
	<-began
	return t
}

// parked waits until the stack of the task's goroutine shows that it is blocked.
// It returns after a second at the latest, because a call may also wait by
// polling. The promise must hold in that state, too.
func (t *suiteTask) parked() {
	buf := make([]byte, 1<<18)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		stacks := buf[:runtime.Stack(buf, true)]
		_, rest, ok := bytes.Cut(stacks, []byte(t.id+"["))
		if !ok {
			return // it has ended, or there are very many goroutines
		}
		for _, state := range []string{"IO wait", "select", "chan ", "sync.", "semacquire", "sleep"} {
			if bytes.HasPrefix(rest, []byte(state)) {
				return
			}
		}
		<-tick.C
	}
}

// small is the length of frames whose length is of no interest.
func (s *suite) small() int { return max(s.MinFrame, 60) }

// big is the length of frames meant to fill queues.
func (s *suite) big() int { return min(s.MaxFrame, 1514) }

// burst returns how many frames may be under way at once, at most n.
func (s *suite) burst(n int) int {
	if s.Lossy {
		return min(n, 8)
	}
	return n
}

// buffer returns a buffer for any frame.
func (s *suite) buffer() []byte { return make([]byte, s.MaxFrame+100) }

// send writes f to c, which must succeed.
func (s *suite) send(c net.PacketConn, f []byte) {
	s.Helper()
	if n, err := c.WriteTo(f, nil); n != len(f) || err != nil {
		s.Fatalf("sending %d bytes: %d, %v", len(f), n, err)
	}
}

// expect reads from c, which must yield want.
func (s *suite) expect(c net.PacketConn, want []byte) {
	s.Helper()
	s.expectWith(s.reader(c, "ReadFrom"), want)
}

func (s *suite) expectWith(op readOp, want []byte) {
	s.Helper()
	if s.expected == nil {
		s.expected = s.buffer()
	}
	buf := s.expected
	clear(buf[:len(want)])
	n, err := op.do(buf)
	if err != nil {
		s.Fatalf("%s: frame %d of %d bytes did not arrive: %v", op.name, suiteSeq(want), len(want), err)
	}
	s.same(op.name, buf[:n], want)
}

// same checks that got is want.
func (s *suite) same(what string, got, want []byte) {
	s.Helper()
	if d := difference(got, want); d != "" {
		s.Fatalf("%s: %s", what, d)
	}
}

// difference says how got differs from want, briefly; "" if it does not.
func difference(got, want []byte) string {
	switch {
	case bytes.Equal(got, want):
		return ""
	case suiteSeq(got) != suiteSeq(want) || len(got) != len(want):
		return fmt.Sprintf("got frame %d of %d bytes, want frame %d of %d bytes", suiteSeq(got), len(got), suiteSeq(want), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Sprintf("frame %d of %d bytes changed from byte %d on: %x, want %x", suiteSeq(want), len(want), i, got[i:min(i+8, len(got))], want[i:min(i+8, len(want))])
		}
	}
	return "frames differ"
}

// nothingSent checks that B has received nothing that was not expected: what A
// sends now must be the first to arrive.
func (s *suite) nothingSent(why string) {
	s.Helper()
	marker := s.frameAB(s.small(), 1<<30)
	s.send(s.a, marker)
	buf := s.buffer()
	n, _, err := s.b.ReadFrom(buf)
	if err != nil {
		s.Fatalf("after %s, the next frame did not arrive: %v", why, err)
	}
	if d := difference(buf[:n], marker); d != "" {
		s.Fatalf("%s must send nothing: %s", why, d)
	}
}

// failed checks that err matches want and has the documented form.
func (s *suite) failed(what string, err, want error) {
	s.Helper()
	if err == nil {
		s.Fatalf("%s: no error, want %q", what, want)
	}
	if !errors.Is(err, want) {
		s.Fatalf("%s: error %q (%T) does not match %q", what, err, err, want)
	}
	s.dressed(what, err)
	if want == os.ErrDeadlineExceeded {
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() {
			s.Errorf("%s: error %q has no true Timeout method", what, err)
		}
	}
}

// dressed checks that err is a complete *net.OpError.
func (s *suite) dressed(what string, err error) {
	s.Helper()
	op, ok := err.(*net.OpError)
	switch {
	case !ok:
		s.Errorf("%s: error %q is a %T, want a *net.OpError", what, err, err)
	case op.Net != "vde" || op.Op == "" || op.Err == nil:
		s.Errorf("%s: error %q has Op %q, Net %q and Err %v", what, err, op.Op, op.Net, op.Err)
	case op.Source == nil:
		s.Errorf("%s: error %q has no Source", what, err)
	}
}

// keepWriting writes frames that nobody reads until an error, and returns it.
func (s *suite) keepWriting(op writeOp) error {
	f := s.frameAB(s.big(), 0)
	for {
		n, err := op.do(f)
		if err != nil {
			if n != 0 {
				s.Errorf("%s: a frame not sent counts as %d bytes: %v", op.name, n, err)
			}
			return err
		}
		if n != len(f) {
			s.Errorf("%s: %d of %d bytes, and no error", op.name, n, len(f))
			return io.ErrShortWrite
		}
	}
}
