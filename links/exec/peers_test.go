// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package exec_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/exec"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// sizeOf returns the length of frame i: mostly short ones, between whose two bytes of
// length a read of vde_plug could end, and some that do not fit a page of a pipe.
func sizeOf(i int) int {
	if i%1000 == 999 {
		return 9234
	}
	return 60 + i*131%100
}

// sendMany sends frames in batches.
func sendMany(write func([][]byte) (int, error), count int) error {
	for i := 0; i < count; {
		var batch [][]byte
		for ; len(batch) < 32 && i < count; i++ {
			batch = append(batch, numbered(uint32(i), sizeOf(i)))
		}
		if n, err := write(batch); n != len(batch) {
			return fmt.Errorf("%d of %d frames: %w", n, len(batch), err)
		}
	}
	return nil
}

// checkMany checks that frame i is the i-th that sendMany has sent.
func checkMany(t *testing.T, i int, f []byte) {
	t.Helper()
	if !bytes.Equal(f, numbered(uint32(i), sizeOf(i))) {
		t.Fatalf("frame %d has %d bytes and begins % x", i, len(f), f[:min(len(f), 24)])
	}
}

// manyFrames is how many frames go through vde_plug. A reader that loses its step
// loses it within some tens of them.
const manyFrames = 20000

// TestVdePlug passes frames to another client of a network through vde_plug and
// back, in batches, and all arrive.
func TestVdePlug(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "vde_plug")
	network := testutil.FakePointToPoint(t)
	l := open(t, link.Settings{}, "vde_plug", network.Dir())
	other := conntest.Open(t, network.VNL())
	failed := make(chan error, 1)
	go func() {
		failed <- sendMany(func(b [][]byte) (int, error) {
			n, _, err := l.Send(link.Tx{Frames: b})
			return n, err
		}, manyFrames)
	}()
	buf := make([]byte, 10000)
	for i := range manyFrames {
		n, err := other.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		checkMany(t, i, buf[:n])
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	go func() { failed <- sendMany(other.WriteBatch, manyFrames) }()
	for i := range manyFrames {
		checkMany(t, i, recv(t, l))
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// TestReconnect kills vde_plug, and its successor joins the switch.
func TestReconnect(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "vde_plug", "sh")
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	listener, err := sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go listener.Serve(t.Context())
	other, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	name := filepath.Join(t.TempDir(), "pid")
	c, err := vde.Open(t.Context(), "cmd://sh -c 'echo $$ >"+name+"; exec vde_plug "+dir+"'",
		vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	down := make(chan error, 16)
	defer c.OnLinkChange(func(s vde.LinkState) {
		if !s.Up && s.Attempt == 0 {
			down <- s.Err
		}
	})()
	for round := range uint32(3) {
		reaches(t, c, other, round)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-down; !strings.Contains(err.Error(), `command "sh" ended: signal: killed`) {
			t.Error(err)
		}
	}
}

// reaches sends a frame until it has come: it may be given to a vde_plug that has
// just been killed.
func reaches(t *testing.T, c, other *vde.Conn, number uint32) {
	t.Helper()
	buf := make([]byte, 2000)
	for {
		if _, err := c.Write(numbered(number, 60)); err != nil {
			t.Fatal(err)
		}
		if err := other.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := other.Read(buf); err == nil && numberOf(buf[:n]) == number {
			return
		}
	}
}

// TestProgramKilled kills a program that has started a command, which learns of it.
func TestProgramKilled(t *testing.T) {
	testpeers.Need(t, "sh")
	name := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	if err := fifo.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // a hang
		t.Fatal(err)
	}
	p := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{testpeers.TestBinary(t), "program",
		exec.Quote("sh", "-c", "exec >"+name+"; echo started; cat >/dev/null; echo ended")}})
	buf := make([]byte, 100)
	for _, want := range []string{"started\n", "ended\n"} {
		if n, err := fifo.Read(buf); string(buf[:n]) != want || err != nil {
			t.Fatalf("%q, %v, want %q", buf[:n], err, want)
		}
		p.Kill()
	}
}

// TestNoAllocations checks that frames cost no allocation.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	testpeers.Need(t, "cat")
	l := open(t, link.Settings{}, "cat")
	frames := make([][]byte, 8)
	bufs, sizes := make([][]byte, len(frames)), make([]int, len(frames))
	for i := range frames {
		frames[i], bufs[i] = numbered(uint32(i), 1514), make([]byte, 1514)
	}
	exchange := func() {
		send(t, l, frames...)
		for n := 0; n < len(frames); {
			k, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
	}
	for range 500 { // the queues make their memory at first use
		exchange()
	}
	if n := testing.AllocsPerRun(100, exchange); n != 0 {
		t.Errorf("%v allocations for %d frames", n, len(frames))
	}
}

// BenchmarkCat moves frames to cat and back.
func BenchmarkCat(b *testing.B) {
	testpeers.Need(b, "cat")
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			l := open(b, link.Settings{}, "cat")
			const batch = 32
			frames := make([][]byte, batch)
			bufs, sizes := make([][]byte, batch), make([]int, batch)
			for i := range frames {
				frames[i], bufs[i] = numbered(uint32(i), size), make([]byte, size)
			}
			b.ReportAllocs()
			count, came := 0, make(chan error, 1)
			go func() {
				for {
					n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
					for _, f := range bufs[:n] {
						if f[frame.HeaderLen] == 0xff { // the last
							came <- nil
							return
						}
					}
					if err != nil {
						came <- err
						return
					}
				}
			}()
			for b.Loop() {
				send(b, l, frames...)
				count += batch
			}
			send(b, l, numbered(^uint32(0), size))
			if err := <-came; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}
