// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package peer

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is one end of a path in memory that loses what drop says.
type wire struct {
	in, out chan []byte
	drop    func(f []byte) bool
	done    chan struct{}
	calls   uint64
}

func wires() (a, b *wire) {
	x, y, done := make(chan []byte, 64), make(chan []byte, 64), make(chan struct{})
	keep := func([]byte) bool { return false }
	return &wire{in: x, out: y, drop: keep, done: done}, &wire{in: y, out: x, drop: keep, done: done}
}

func (w *wire) Send(frames [][]byte) (int, error) {
	for i, f := range frames {
		if w.drop(f) {
			continue
		}
		select {
		case w.out <- bytes.Clone(f):
		case <-w.done:
			return i, io.ErrClosedPipe
		}
	}
	return len(frames), nil
}

func (w *wire) Recv() ([][]byte, error) {
	w.calls++
	select {
	case f := <-w.in:
		return [][]byte{f}, nil
	case <-w.done:
		return nil, io.ErrClosedPipe
	}
}

func (w *wire) Calls() uint64 { return w.calls }

func (w *wire) Close() error {
	close(w.done)
	return nil
}

// TestMarker compares with bytes written down by hand: the programs in testdata
// know the same.
func TestMarker(t *testing.T) {
	want, err := hex.DecodeString("ffffffffffff" + "02000000000b" + "88b6" + "0000000000010203" + strings.Repeat("00", 38))
	if err != nil {
		t.Fatal(err)
	}
	got := Marker(Broadcast, B, 0x10203)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	if run, ok := markerOf(got); !ok || run != 0x10203 {
		t.Errorf("it ends run %#x, %v", run, ok)
	}
	if _, ok := markerOf(NewLoad([]int{64}, 1, B, A).Next(1)[0]); ok {
		t.Error("a frame of a load is a marker")
	}
	if _, ok := markerOf(got[:20]); ok {
		t.Error("a piece of a marker is a marker")
	}
}

func TestSizes(t *testing.T) {
	for _, name := range []string{"", "59", "65536", "-64", "64.0", "IMIX"} {
		if sizes, err := Sizes(name); err == nil {
			t.Errorf("%q is %v", name, sizes)
		}
	}
	if sizes, err := Sizes("1514"); err != nil || !slices.Equal(sizes, []int{1514}) {
		t.Errorf("%v, %v", sizes, err)
	}
	sizes, err := Sizes("imix")
	if err != nil {
		t.Fatal(err)
	}
	count := map[int]int{}
	for _, n := range sizes {
		count[n]++
	}
	if len(sizes) != 12 || count[60] != 7 || count[590] != 4 || count[1514] != 1 {
		t.Errorf("IMIX is %v", count)
	}
}

// TestLoad sends more frames than a load holds, in all batches, and looks at the
// sequence of their lengths.
func TestLoad(t *testing.T) {
	for _, sizes := range [][]int{{64}, imix} {
		for _, batch := range []int{1, 5, 32} {
			l := NewLoad(sizes, batch, B, A)
			const n = 1000
			var got []int
			for len(got) < n {
				fs := l.Next(n - len(got))
				if len(fs) == 0 || len(fs) > batch {
					t.Fatalf("a batch of %d", len(fs))
				}
				for _, f := range fs {
					got = append(got, len(f))
				}
			}
			for i, size := range got {
				if size != sizes[i%len(sizes)] {
					t.Fatalf("batches of %d: frame %d has %d bytes", batch, i, size)
				}
			}
			if l.Max() != slices.Max(sizes) {
				t.Errorf("longest %d", l.Max())
			}
		}
	}
}

func TestFloodAndCount(t *testing.T) {
	a, b := wires()
	var markers, n int
	a.drop = func(f []byte) bool {
		if _, ok := markerOf(f); ok {
			markers++
			return markers%3 != 0 // two of three markers
		}
		n++
		return n%10 == 0 // every tenth frame
	}
	l := NewLoad([]int{100}, 8, B, A)
	for run := uint64(1); run <= 3; run++ {
		stop := make(chan struct{})
		sent := make(chan error, 1)
		before := Now()
		go func() {
			_, err := Flood(a, l, B, A, 1000, run, stop)
			sent <- err
		}()
		got, err := Count(b, run)
		close(stop)
		if err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if got.Frames != 900 || got.Bytes != 90_000 || got.Calls < 901 || got.End < before || got.End > Now() {
			t.Errorf("run %d: %+v", run, got)
		}
	}
	a.Close()
	if _, err := Count(b, 4); err == nil {
		t.Error("counted on a closed endpoint")
	}
}

func TestPing(t *testing.T) {
	for _, rate := range []int{0, 20_000} {
		t.Run(fmt.Sprint("rate=", rate), func(t *testing.T) {
			a, b := wires()
			lost := 0
			if rate > 0 {
				n := 0
				b.drop = func(f []byte) bool {
					if _, ok := markerOf(f); ok {
						return false
					}
					n++
					if n%20 == 0 {
						lost++
						return true
					}
					return false
				}
			}
			echoed := make(chan struct{})
			go func() {
				defer close(echoed)
				Echo(b)
			}()
			const n = 200
			var got Timing
			var err error
			start := time.Now()
			if rate == 0 {
				got, err = Ping(a, B, A, 64, n, 7)
			} else {
				got, err = PingAt(a, B, A, 64, n, rate, 7)
			}
			elapsed := time.Since(start)
			a.Close()
			<-echoed
			if err != nil {
				t.Fatal(err)
			}
			if len(got.RTT) != n-lost || got.Lost != lost || rate > 0 && lost != n/20 {
				t.Errorf("%d answers, %d lost of %d", len(got.RTT), got.Lost, lost)
			}
			for _, d := range got.RTT {
				if d <= 0 || d > elapsed {
					t.Fatalf("a round trip of %v in %v", d, elapsed)
				}
			}
			if rate > 0 && elapsed < n*time.Second/time.Duration(rate) {
				t.Errorf("%d frames at %d per second took %v", n, rate, elapsed)
			}
		})
	}
}

// TestPingAtIsCharged stops the echo for a while and expects that all frames that
// were due meanwhile are late, although the sender could not send them.
func TestPingAtIsCharged(t *testing.T) {
	a, b := wires()
	const n, rate, held = 200, 2000, 40
	var release time.Time
	stopped := time.Duration(held) * time.Second / rate
	b.drop = func(f []byte) bool {
		if release.IsZero() {
			release = time.Now().Add(stopped)
			for time.Now().Before(release) { // the path stands still
			}
		}
		return false
	}
	go Echo(b)
	got, err := PingAt(a, B, A, 64, n, rate, 1)
	a.Close()
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, d := range got.RTT {
		if d > stopped/4 {
			late++
		}
	}
	if late < held/2 {
		t.Errorf("%d of %d round trips were late, of %d frames that were due while the path stood still", late, n, held)
	}
}

// TestServe talks to endpoints as the benchmarks do.
func TestServe(t *testing.T) {
	a, b := wires()
	sources := talk(t, a, "flood", []int{64})
	answers := make(chan string, 10)
	go func() {
		defer close(answers)
		_ = countRuns(b, func(format string, args ...any) error { // Serve would end this process
			answers <- fmt.Sprintf(format, args...)
			return nil
		})
	}()
	sources.expect("ready\n")
	for run := 1; run <= 2; run++ {
		sources.tell("flood 500 %d", run)
		var r, frames, bytes, calls int
		var end int64
		line := <-answers
		if _, err := fmt.Sscanf(line, "done run=%d frames=%d bytes=%d calls=%d end=%d", &r, &frames, &bytes, &calls, &end); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if r != run || frames != 500 || bytes != 32_000 || calls < 501 || end <= 0 {
			t.Errorf("%q", line)
		}
		sources.tell("end")
		if line := sources.line(); !strings.HasPrefix(line, "sent start=") || !strings.HasSuffix(line, " errors=0\n") {
			t.Errorf("%q", line)
		}
	}
	sources.end()
	a.Close()
	for range answers {
	}
}

func TestServePing(t *testing.T) {
	a, b := wires()
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		Echo(b)
	}()
	s := talk(t, a, "ping", []int{64})
	s.expect("ready\n")
	for run, rate := range []int{0, 10_000} {
		s.tell("ping 20 %d %d", rate, run+1)
		s.expect("timed lost=0 count=20\n")
		for range 20 {
			var ns int64
			if _, err := fmt.Sscanln(s.line(), &ns); err != nil || ns <= 0 {
				t.Errorf("%d, %v", ns, err)
			}
		}
	}
	s.end()
	a.Close()
	<-echoed
}

// A conversation is an endpoint's input and output.
type conversation struct {
	t    *testing.T
	in   *io.PipeWriter
	out  *bufio.Reader
	done chan error
}

func talk(t *testing.T, s Endpoint, role string, sizes []int) *conversation {
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	c := &conversation{t, stdin, bufio.NewReader(stdout), make(chan error, 1)}
	go func() { c.done <- Serve(s, role, sizes, 8, in, out) }()
	return c
}

func (c *conversation) tell(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.in, format+"\n", args...); err != nil {
		c.t.Fatal(err)
	}
}

func (c *conversation) line() string {
	c.t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return line
}

func (c *conversation) expect(want string) {
	c.t.Helper()
	if line := c.line(); line != want {
		c.t.Fatalf("%q instead of %q", line, want)
	}
}

func (c *conversation) end() {
	c.t.Helper()
	c.in.Close()
	if err := <-c.done; err != nil {
		c.t.Error(err)
	}
}
