// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newLine returns a line and the connection at its other end, both in this process.
func newLine(t testing.TB, cfg impair.Config) (*impair.Line, *vde.Conn) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Queue: 4096}})
	var conns [2]*vde.Conn
	for i := range conns {
		var err error
		if conns[i], err = sw.Attach(); err != nil {
			t.Fatal(err)
		}
	}
	line, err := impair.New(conns[0], cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		line.Conn().Close()
		conns[1].Close()
		sw.Close()
	})
	return line, conns[1]
}

// numbered returns a broadcast frame of 100 bytes with n in it.
func numbered(n int) []byte {
	f := frame.AppendHeader(make([]byte, 0, 100), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	return binary.BigEndian.AppendUint32(f, uint32(n))[:100]
}

func send(t testing.TB, c *vde.Conn, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		if _, err := c.Write(numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// An arrival is a frame's number and when it came.
type arrival struct {
	number int
	after  time.Duration
}

// receive returns what arrives until nothing has for a minute.
func receive(t testing.TB, c *vde.Conn) (got []arrival) {
	t.Helper()
	start := time.Now()
	buf := make([]byte, 200)
	for {
		c.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil || n != 100 {
			t.Fatalf("%d, %v", n, err)
		}
		got = append(got, arrival{int(binary.BigEndian.Uint32(buf[frame.HeaderLen:])), time.Since(start)})
	}
}

func numbers(got []arrival) (ns []int) {
	for _, a := range got {
		ns = append(ns, a.number)
	}
	return ns
}

func sequence(n int) (ns []int) {
	for i := range n {
		ns = append(ns, i)
	}
	return ns
}

func checkSum(t testing.TB, what string, s impair.Stats) {
	t.Helper()
	if s.Frames+s.Duplicated != s.Delivered+s.Lost+s.Partitioned+s.Overflowed+s.Refused+s.Pending {
		t.Errorf("%s: the counters do not add up: %+v", what, s)
	}
}

func TestDelay(t *testing.T) {
	for _, direction := range []string{"out", "in"} {
		t.Run(direction, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := impair.Impairment{Delay: 50 * time.Millisecond}
				line, far := newLine(t, impair.Config{Out: bad, In: bad})
				from, to := line.Conn(), far
				if direction == "in" {
					from, to = far, line.Conn()
				}
				// All of them are under way at once: the delay does not limit the rate.
				const frames = 1000
				send(t, from, 0, frames)
				got := receive(t, to)
				if !slices.Equal(numbers(got), sequence(frames)) {
					t.Errorf("%d frames arrived, want %d in order", len(got), frames)
				}
				for _, a := range got {
					if a.after != bad.Delay {
						t.Fatalf("frame %d after %v, want %v", a.number, a.after, bad.Delay)
					}
				}
			})
		})
	}
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// 100 bytes at 80 kbit/s take 10 ms.
		line, far := newLine(t, impair.Config{Out: impair.Impairment{Rate: 80_000, Delay: time.Second, Queue: 20}})
		send(t, line.Conn(), 0, 25)
		got := receive(t, far)
		for i, a := range got {
			if want := time.Second + time.Duration(i+1)*10*time.Millisecond; a.number != i || a.after != want {
				t.Errorf("frame %d after %v, want %d after %v", a.number, a.after, i, want)
			}
		}
		out, _ := line.Stats()
		if len(got) != 20 || out.Overflowed != 5 {
			t.Errorf("%d arrived, %d overflowed, want 20 and 5", len(got), out.Overflowed)
		}
		checkSum(t, "out", out)
	})
}

func TestJitterKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, far := newLine(t, impair.Config{Out: impair.Impairment{Delay: 20 * time.Millisecond, Jitter: 10 * time.Millisecond}})
		var got []arrival
		done := make(chan struct{})
		go func() {
			defer close(done)
			got = receive(t, far)
		}()
		for i := range 500 {
			send(t, line.Conn(), i, 1)
			time.Sleep(5 * time.Millisecond)
		}
		<-done
		if !slices.Equal(numbers(got), sequence(500)) {
			t.Error("not in order")
		}
		delays := make(map[time.Duration]bool)
		for _, a := range got {
			d := a.after - time.Duration(a.number)*5*time.Millisecond
			delays[d] = true
			if d < 10*time.Millisecond || d > 30*time.Millisecond {
				t.Errorf("frame %d took %v", a.number, d)
			}
		}
		if len(delays) < 100 {
			t.Errorf("%d different delays", len(delays))
		}
	})
}

// TestProbabilities checks that frames are lost, duplicated and reordered about as
// often as configured, that the counters say so, and that the same seed gives the
// same result.
func TestProbabilities(t *testing.T) {
	const frames = 4000
	run := func(t *testing.T, cfg impair.Config) (ns []int, s impair.Stats) {
		synctest.Test(t, func(t *testing.T) {
			line, far := newLine(t, cfg)
			for i := 0; i < frames; i += 100 {
				send(t, line.Conn(), i, 100)
				ns = append(ns, numbers(receive(t, far))...)
			}
			s, _ = line.Stats()
		})
		checkSum(t, "out", s)
		if s.Frames != frames || s.Delivered != uint64(len(ns)) || s.Pending != 0 {
			t.Errorf("%d arrived, %+v", len(ns), s)
		}
		return ns, s
	}
	about := func(t *testing.T, what string, got uint64, p float64) {
		t.Helper()
		// Five standard deviations.
		if want, dev := frames*p, 5*math.Sqrt(frames*p*(1-p)); math.Abs(float64(got)-want) > dev {
			t.Errorf("%s: %d, want %.0f ± %.0f", what, got, want, dev)
		}
	}
	cfg := impair.Config{Seed: 7, Out: impair.Impairment{Delay: time.Millisecond, Loss: 0.1, Duplicate: 0.05, Reorder: 0.02}}
	first, s := run(t, cfg)
	about(t, "lost", s.Lost, 0.1)
	about(t, "duplicated", s.Duplicated, 0.05*0.9)
	about(t, "reordered", s.Reordered, 0.02*0.9*1.05)
	if slices.IsSorted(first) {
		t.Error("nothing is out of order")
	}
	second, _ := run(t, cfg)
	if !slices.Equal(first, second) {
		t.Error("the same seed gave another result")
	}
	cfg.Seed++
	if other, _ := run(t, cfg); slices.Equal(first, other) {
		t.Error("another seed gave the same result")
	}
	all, s := run(t, impair.Config{Out: impair.Impairment{Loss: 1}})
	if len(all) != 0 || s.Lost != frames {
		t.Errorf("loss of 1: %d arrived, %+v", len(all), s)
	}
}

func TestPartitionAndSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, far := newLine(t, impair.Config{})
		both := func(n, want int) {
			t.Helper()
			send(t, line.Conn(), n, 1)
			send(t, far, n, 1)
			if got := receive(t, far); len(got) != want {
				t.Errorf("%d: %d arrived there, want %d", n, len(got), want)
			}
			if got := receive(t, line.Conn()); len(got) != want {
				t.Errorf("%d: %d arrived here, want %d", n, len(got), want)
			}
		}
		both(0, 1)
		line.Partition(true)
		both(1, 0)
		line.Partition(false)
		both(2, 1)
		if err := line.Set(impair.Config{Out: impair.Impairment{Duplicate: 1}, In: impair.Impairment{Duplicate: 1}}); err != nil {
			t.Fatal(err)
		}
		both(3, 2)
		out, in := line.Stats()
		for what, s := range map[string]impair.Stats{"out": out, "in": in} {
			if s.Frames != 4 || s.Partitioned != 1 || s.Duplicated != 1 || s.Delivered != 4 {
				t.Errorf("%s: %+v", what, s)
			}
			checkSum(t, what, s)
		}
	})
}

func TestCloseWithFramesUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, far := newLine(t, impair.Config{Out: impair.Impairment{Delay: time.Hour}, In: impair.Impairment{Delay: time.Minute}})
		send(t, line.Conn(), 0, 10)
		send(t, far, 0, 10)
		time.Sleep(2 * time.Minute) // of the fake clock: the frames of far have arrived
		if err := line.Conn().Close(); err != nil {
			t.Error(err)
		}
		out, in := line.Stats()
		if out.Refused != 10 || in.Delivered != 10 || line.Conn().Stats().RxDiscarded != 10 {
			t.Errorf("out %+v, in %+v, %+v", out, in, line.Conn().Stats())
		}
		checkSum(t, "out", out)
		checkSum(t, "in", in)
		if _, err := line.Conn().Write(numbered(0)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestHangup checks that frames which are under way when the switch ends arrive
// before the connection reports the end.
func TestHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		near, _ := sw.Attach()
		far, _ := sw.Attach()
		line, err := impair.New(near, impair.Config{In: impair.Impairment{Delay: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		defer line.Conn().Close()
		send(t, far, 0, 3)
		synctest.Wait()
		sw.Close()
		far.Close()
		buf := make([]byte, 100)
		for i := range 3 {
			if _, err := line.Conn().Read(buf); err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
		if _, err := line.Conn().Read(buf); !errors.Is(err, vde.ErrHangup) {
			t.Error(err)
		}
		if err := line.Conn().Err(); !errors.Is(err, vde.ErrHangup) {
			t.Error(err)
		}
	})
}

func TestConformance(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		sw := vswitch.New(vswitch.Config{})
		tb.Cleanup(func() { sw.Close() })
		var conns [2]*vde.Conn
		for i := range conns {
			c, err := sw.Attach()
			if err != nil {
				return nil, err
			}
			line, err := impair.New(c, impair.Config{})
			if err != nil {
				return nil, err
			}
			conns[i] = line.Conn()
			tb.Cleanup(func() { line.Conn().Close() })
		}
		return &testutil.Pair{A: conns[0], B: conns[1]}, nil
	}, testutil.ConnOptions{Lossy: true})
}

func TestNewRefusesConfig(t *testing.T) {
	for _, i := range []impair.Impairment{
		{Loss: -0.1}, {Loss: 1.1}, {Duplicate: 2}, {Reorder: math.NaN()}, {Delay: -1}, {Jitter: -1}, {Rate: -1}, {Queue: -1},
	} {
		for name, cfg := range map[string]impair.Config{"Out": {Out: i}, "In": {In: i}, "both": {In: i, Out: i}} {
			_, err := impair.New(nil, cfg)
			if err == nil {
				t.Errorf("%s: %+v was accepted", name, i)
			} else if strings.Count(err.Error(), "impair: ") != 1 {
				t.Errorf("%s: %q does not have the prefix once", name, err)
			}
		}
	}
}

func TestConfigJSON(t *testing.T) {
	cfg := impair.Config{Seed: 7, Out: impair.Impairment{
		Delay: 20 * time.Millisecond, Jitter: 1500 * time.Microsecond, Loss: 0.01, Duplicate: 0.5, Reorder: 1, Rate: 1e9, Queue: 10,
	}}
	b, err := json.Marshal(cfg)
	if err != nil || !strings.Contains(string(b), `"Delay":"20ms","Jitter":"1.5ms"`) {
		t.Errorf("%s, %v", b, err)
	}
	got := impair.Config{In: impair.Impairment{Delay: time.Hour}}
	if err := json.Unmarshal(b, &got); err != nil || got != cfg {
		t.Errorf("%s became %+v, %v", b, got, err)
	}
	got.In.Loss = 0.5
	if err := json.Unmarshal([]byte(`{"In":{"Jitter":"2s"}}`), &got); err != nil || got.In.Loss != 0.5 || got.In.Jitter != 2*time.Second {
		t.Errorf("%+v, %v", got.In, err)
	}
	if err := json.Unmarshal([]byte(`{"In":{"Delay":"soon"}}`), &got); err == nil {
		t.Error("a delay of \"soon\" was accepted")
	}
}

// A line that loses half of the frames that are sent.
func ExampleNew() {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	near, _ := sw.Attach()
	far, _ := sw.Attach()
	defer far.Close()
	line, err := impair.New(near, impair.Config{Seed: 1, Out: impair.Impairment{Delay: 2 * time.Millisecond, Loss: 0.5}})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn := line.Conn()
	defer conn.Close()
	for range 1000 {
		conn.Write(numbered(0))
	}
	out, _ := line.Stats()
	fmt.Println(out.Frames, out.Lost > 400 && out.Lost < 600)
	// Output: 1000 true
}
