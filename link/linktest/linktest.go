// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// A MakePair returns two links such that what is sent on one is received on the
// other. The suite closes both.
type MakePair func(tb testing.TB) (a, b link.Link, err error)

// Options say what does not hold for the links under test. The zero value holds
// them to every promise.
type Options struct {
	// MaxFrameSize is the longest frame to send in bytes (default 1514).
	MaxFrameSize int

	// Lossy says that frames may be lost on the way although they were sent,
	// as on a network. Content and order are checked all the same.
	Lossy bool

	// Unbounded says that the queue is never full.
	Unbounded bool

	// NoHangup says that a link does not end when the other side was closed,
	// because it does not learn of that or waits for the next.
	NoHangup bool

	// Down says that a link with NoHangup is down after the other side was closed,
	// as its State tells. Such links are those of [link.Redial] and of servers.
	Down bool

	// Reason says why one of these promises is not made, for the text of the
	// subtests that are skipped.
	Reason string

	// NoCount says that Close does not know how many frames it discards.
	NoCount bool

	// SingleSegments says that a GSO frame with the payload of one segment may
	// come as that segment, with a partial checksum. Linux makes such frames so.
	SingleSegments bool

	// Watchdog is how long a call may take before it counts as hanging (default
	// one minute). A slow machine may need all of it: it bounds hangs, not speed.
	Watchdog time.Duration
}

// A promise is one subtest.
type promise struct {
	name string
	run  func(*suite)

	// What must not hold for the links under test, or the subtest is skipped.
	lossy, unbounded, noHangup, noCount bool

	down bool // tried only if Down is set
}

// missing returns why p is not tried on links with the given options, or the empty
// string.
func (p promise) missing(o Options) string {
	for _, c := range []struct {
		skip bool
		why  string
	}{
		{p.lossy && o.Lossy, "frames may be lost"},
		{p.unbounded && o.Unbounded, "the queue is never full"},
		{p.noCount && o.NoCount, "Close does not know what it discards"},
		{p.noHangup && o.NoHangup, "a link does not end with the other side"},
		{p.down && !o.Down, "a link is not down without the other side, but ends or stays up"},
	} {
		if c.skip {
			if o.Reason != "" {
				return c.why + ": " + o.Reason
			}
			return c.why
		}
	}
	return ""
}

var promises = []promise{
	{name: "Open", run: (*suite).open},
	{name: "Caps", run: (*suite).caps},
	{name: "Batches", run: (*suite).batches},
	{name: "Pieces", run: (*suite).pieces},
	{name: "Sizes", run: (*suite).sizes, lossy: true},
	{name: "Headers", run: (*suite).headers},
	{name: "Offload", run: (*suite).offload, lossy: true},
	{name: "Lent", run: (*suite).lent},
	{name: "RecvNoWait", run: (*suite).recvNoWait},
	{name: "SendNoWait", run: (*suite).sendNoWait, unbounded: true},
	{name: "AwaitRoom", run: (*suite).awaitRoom, unbounded: true},
	{name: "ReadDeadline", run: (*suite).readDeadline},
	{name: "WriteDeadline", run: (*suite).writeDeadline, unbounded: true},
	{name: "CloseWakesRecv", run: (*suite).closeWakesRecv},
	{name: "CloseWakesSend", run: (*suite).closeWakesSend, unbounded: true},
	{name: "CloseCounts", run: (*suite).closeCounts, noCount: true, lossy: true},
	{name: "Closed", run: (*suite).closed},
	{name: "Hangup", run: (*suite).hangup, noHangup: true},
	{name: "HangupWakesRecv", run: (*suite).hangupWakesRecv, noHangup: true},
	{name: "HangupWakesSend", run: (*suite).hangupWakesSend, noHangup: true, unbounded: true},
	{name: "Down", run: (*suite).down, down: true},
	{name: "Concurrent", run: (*suite).concurrent},
}

// Test runs the suite. Queues of the links must have room for 8 frames at least.
func Test(t *testing.T, mp MakePair, opts Options) {
	opts.MaxFrameSize = cmp.Or(opts.MaxFrameSize, 1514)
	opts.Watchdog = cmp.Or(opts.Watchdog, time.Minute)
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			if why := p.missing(opts); why != "" {
				t.Skip("the options say that the links do not promise it: " + why)
			}
			check(t, p, mp, opts)
		})
	}
}

// check tries one promise on a pair of its own.
func check(tb testing.TB, p promise, mp MakePair, opts Options) {
	a, b, err := mp(tb)
	if err != nil {
		tb.Fatal(err)
	}
	s := &suite{tb: tb, Options: opts, a: a, b: b}
	s.within("the subtest", func() { p.run(s) })
	s.within("Close", s.closeBoth)
	s.finish()
}

// A suite is one pair under test. Promises run on another goroutine than the test,
// which waits for them with a watchdog. What they report goes to the test as it
// comes, and is thrown away after the test has ended.
type suite struct {
	Options
	a, b link.Link
	seq  uint32

	mu   sync.Mutex
	tb   testing.TB // guarded by mu
	over bool       // guarded by mu; the test has ended or is about to
}

// Errorf reports a failure. Any goroutine may call it.
func (s *suite) Errorf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tb.Helper()
	if !s.over {
		s.tb.Errorf(format, args...)
	}
}

// Fatalf is Errorf that ends the goroutine that runs the promise; only that one
// may call it.
func (s *suite) Fatalf(format string, args ...any) {
	s.tb.Helper()
	s.Errorf(format, args...)
	runtime.Goexit()
}

// finish says that nothing may be reported any more.
func (s *suite) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// closeBoth closes the pair, twice.
func (s *suite) closeBoth() {
	for _, l := range []link.Link{s.a, s.b, s.a, s.b} {
		if _, err := l.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	}
}

// within runs f on another goroutine and fails with all stacks if it does not
// return in time.
func (s *suite) within(what string, f func()) {
	s.tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(s.Watchdog)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		stacks := make([]byte, 1<<20)
		s.Errorf("%s did not return within %v\n%s", what, s.Watchdog, stacks[:runtime.Stack(stacks, true)])
	}
}

// frame returns the next frame to send, of n bytes: numbered, and with a content
// that its number decides.
func (s *suite) frame(n int) []byte {
	s.seq++
	return numbered(s.seq, n)
}

// numbered returns frame number seq, of n bytes.
func numbered(seq uint32, n int) []byte {
	f := make([]byte, max(n, minFrame))
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	binary.BigEndian.PutUint32(f[frame.HeaderLen:], seq)
	for i := minFrame; i < len(f); i++ {
		f[i] = byte(seq) + byte(i)
	}
	return f
}

// minFrame is the length of the shortest numbered frame.
const minFrame = frame.HeaderLen + 4

// number returns the number of a received frame, after a look at the rest of it.
func number(f []byte) (uint32, error) {
	if len(f) < minFrame {
		return 0, fmt.Errorf("a frame of %d bytes came, none was sent", len(f))
	}
	seq := binary.BigEndian.Uint32(f[frame.HeaderLen:])
	if want := numbered(seq, len(f)); !bytes.Equal(f, want) {
		return 0, fmt.Errorf("frame %d of %d bytes came with another content", seq, len(f))
	}
	return seq, nil
}

// frames returns the next count frames, of various lengths.
func (s *suite) frames(count int) [][]byte {
	list := make([][]byte, count)
	for i := range list {
		list[i] = s.frame(minFrame + i*131%(s.MaxFrameSize-minFrame+1))
	}
	return list
}

// A receiver receives batches of up to its size.
type receiver struct {
	bufs  [][]byte
	sizes []int
}

func (s *suite) receiver(batch int) *receiver {
	r := &receiver{make([][]byte, batch), make([]int, batch)}
	for i := range r.bufs {
		r.bufs[i] = make([]byte, s.MaxFrameSize)
	}
	return r
}

// recv receives once and returns the frames.
func (r *receiver) recv(l link.Link, noWait bool) ([][]byte, error) {
	n, err := l.Recv(link.Rx{Bufs: r.bufs, Sizes: r.sizes, NoWait: noWait})
	if n > len(r.bufs) || err != nil && n > 0 {
		return nil, fmt.Errorf("%d frames of at most %d, with the error %w", n, len(r.bufs), err)
	}
	got := make([][]byte, n)
	for i := range got {
		got[i] = slices.Clone(r.bufs[i][:min(r.sizes[i], len(r.bufs[i]))])
	}
	return got, err
}

// exchange sends want from a to b in one batch, while it receives, and checks what
// came.
func (s *suite) exchange(a, b link.Link, t link.Tx, want [][]byte) {
	s.tb.Helper()
	sent := make(chan error, 1)
	go func() {
		n, calls, err := a.Send(t)
		if err == nil && (n != t.Len() || calls < 1) {
			err = fmt.Errorf("%d of %d frames in %d calls, and no error", n, t.Len(), calls)
		}
		sent <- err
	}()
	s.expect(b, want)
	if err := <-sent; err != nil {
		s.Fatalf("Send: %v", err)
	}
}

// expect receives want on l.
func (s *suite) expect(l link.Link, want [][]byte) {
	s.tb.Helper()
	r := s.receiver(7)
	for i := 0; i < len(want); {
		got, err := r.recv(l, false)
		if err != nil {
			s.Fatalf("Recv after %d of %d frames: %v", i, len(want), err)
		}
		for _, f := range got {
			for s.Lossy && i < len(want) && !bytes.Equal(f, want[i]) {
				i++
			}
			if i == len(want) || !bytes.Equal(f, want[i]) {
				s.Fatalf("frame %d is %d bytes % x, want another", i, len(f), f[:min(len(f), 24)])
			}
			i++
		}
		if s.Lossy && i > 0 {
			return // the rest may be lost
		}
	}
}

// A flood is what the flood method has sent, and why it stopped.
type flood struct {
	sent [][]byte
	err  error
}

// flood sends on l until a send fails. It takes the place of a single send where
// the queue of l empties into others before it stays full.
func (s *suite) flood(l link.Link) <-chan flood {
	result := make(chan flood, 1)
	go func() {
		var f flood
		for f.err == nil {
			next := s.frame(s.MaxFrameSize)
			var n int
			if n, _, f.err = l.Send(link.Tx{Frames: [][]byte{next}}); n == 1 {
				f.sent = append(f.sent, next)
			} else if f.err == nil {
				f.err = errors.New("Send returned 0 and no error")
			}
		}
		result <- f
	}()
	return result
}

// fill sends on l without waiting until its queue is full and returns what was
// sent.
func (s *suite) fill(l link.Link) (sent [][]byte) {
	s.tb.Helper()
	const enough = 1 << 20 // no queue is that long
	for len(sent) < enough {
		f := s.frame(s.MaxFrameSize)
		n, _, err := l.Send(link.Tx{Frames: [][]byte{f}, NoWait: true})
		switch {
		case n == 1 && err == nil:
			sent = append(sent, f)
		case n == 0 && errors.Is(err, link.ErrFull):
			s.seq--
			return sent
		default:
			s.Fatalf("Send with NoWait returned %d, %v", n, err)
		}
	}
	s.Fatalf("the queue took %d frames and is not full: set Options.Unbounded", len(sent))
	return nil
}

// wantClosed checks the error of a call that Close ended or that came after it.
func (s *suite) wantClosed(call string, err error) {
	s.tb.Helper()
	if !errors.Is(err, net.ErrClosed) {
		s.Errorf("%s of a closed link: %v, want net.ErrClosed", call, err)
	}
}
