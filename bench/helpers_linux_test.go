// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"bytes"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/testutil"
)

func TestParseLine(t *testing.T) {
	got, err := parseLine("done run=2 frames=100000 bytes=6400000 calls=7 end=123456789012345\n", "done")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"run": 2, "frames": 100000, "bytes": 6400000, "calls": 7, "end": 123456789012345} {
		if got[name] != want {
			t.Errorf("%s is %d", name, got[name])
		}
	}
	for _, line := range []string{"", "\n", "ready\n", "done run\n", "done run=x\n"} {
		if _, err := parseLine(line, "done"); err == nil {
			t.Errorf("%q was read", line)
		}
	}
}

func TestParseResident(t *testing.T) {
	got, err := parseMemory("Name:\tvde_switch\nVmHWM:\t    2048 kB\nVmRSS:\t    1884 kB\nRssAnon:\t     120 kB\n", "VmRSS:")
	if err != nil || got != 1884*1024 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseMemory("Name:\tkthreadd\n", "VmRSS:"); err == nil {
		t.Error("a process without memory has some")
	}
	if own, err := resident(os.Getpid()); err != nil || own < 1<<20 {
		t.Errorf("this process has %v bytes, %v", own, err)
	}
}

func TestProcessTime(t *testing.T) {
	before, err := processTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for {
		now, err := processTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now > before {
			break // reading it takes processor time
		}
	}
}

func TestInOrder(t *testing.T) {
	defer func(v bool) { *reversed = v }(*reversed)
	list := []int{1, 2, 3}
	*reversed = false
	if got := inOrder(list); !slices.Equal(got, []int{1, 2, 3}) {
		t.Error(got)
	}
	*reversed = true
	if got := inOrder(list); !slices.Equal(got, []int{3, 2, 1}) || !slices.Equal(list, []int{1, 2, 3}) {
		t.Error(got, list)
	}
}

// TestStream compares with the format of QEMU's socket netdev, written down by
// hand.
func TestStream(t *testing.T) {
	one, other := net.Pipe()
	defer one.Close()
	s := newStream(one, 64)
	frames := [][]byte{bytes.Repeat([]byte{1}, 3), bytes.Repeat([]byte{2}, 2)}
	wire := []byte{0, 0, 0, 3, 1, 1, 1, 0, 0, 0, 2, 2, 2}
	sent := make(chan error, 1)
	go func() {
		_, err := s.Send(frames)
		sent <- err
	}()
	got := make([]byte, len(wire))
	if n, err := other.Read(got); err != nil || !bytes.Equal(got[:n], wire) {
		t.Errorf("%v, %v", got[:n], err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	go func() {
		other.Write(append(wire, 0, 0, 0, 65)) // and a frame longer than there is room for
		other.Close()
	}()
	for _, want := range frames {
		if fs, err := s.Recv(); err != nil || len(fs) != 1 || !bytes.Equal(fs[0], want) {
			t.Errorf("%v, %v", fs, err)
		}
	}
	if _, err := s.Recv(); err == nil {
		t.Error("a frame too long was taken")
	}
}

// TestContenders moves a few frames of each size over every path and reconciles
// what was sent with what was received. Nothing may be lost of so few.
func TestContenders(t *testing.T) {
	for _, c := range slices.Concat(withoutSwitch, switches, overUDP[:4]) { // a vde_plug is not ready at once
		sizes := []string{"64", "1514", "9014", "imix"}
		if testing.Short() {
			sizes = sizes[3:]
		}
		for _, size := range sizes {
			l := newLoad(t, size)
			if l.max() > c.limit {
				continue
			}
			t.Run(c.name+"/"+size, func(t *testing.T) {
				if c.program == "" { // what compiles programs stays for all
					testutil.NoLeaks(t)
				}
				s := c.subject(t, l)
				var bytes uint64
				want := peer.NewLoad(l.sizes, 1, peer.B, peer.A)
				const n = 8 // fits into the queue of every switch, whatever their size
				for range n {
					bytes += uint64(len(want.Next(1)[0]))
				}
				for range 2 {
					f, err := s.move(n)
					if err != nil {
						t.Fatal(err)
					}
					if f.Frames != n || f.Bytes != bytes || f.elapsed <= 0 || f.elapsed > time.Minute {
						t.Errorf("%+v of %d frames, %d bytes", f, n, bytes)
					}
				}
				if s.local != (len(s.pids) == 0) {
					t.Errorf("local is %v with processes %v", s.local, s.pids)
				}
			})
		}
	}
}

// TestPingers sends a few frames to and fro on every path whose round trips are
// measured, one after the other and at a fixed rate.
func TestPingers(t *testing.T) {
	l := newLoad(t, "64")
	for _, c := range pingers {
		t.Run(c.name, func(t *testing.T) {
			if c.program == "" {
				testutil.NoLeaks(t)
			}
			p := c.pinger(t, l)
			const n = 8
			for _, rate := range []int{0, 1000, 0} {
				timing, err := p.ping(n, rate)
				if err != nil {
					t.Fatal(err)
				}
				if len(timing.RTT) != n || timing.Lost != 0 {
					t.Errorf("%d answers, %d lost of %d at rate %d", len(timing.RTT), timing.Lost, n, rate)
				}
				for _, d := range timing.RTT {
					if d <= 0 || d > time.Minute {
						t.Errorf("an answer took %v", d)
					}
				}
			}
		})
	}
}
