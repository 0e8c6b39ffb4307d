// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/link"
)

// longFrames returns frames of all lengths, most of them long, with bytes that tell
// where a part is missing.
func longFrames(rnd *rand.Rand, n int) [][]byte {
	frames := make([][]byte, n)
	for i := range frames {
		size := []int{0, 1, 60, 1514, 4095, 4096, 9014, 16383, 16384, 40000, 65000, sockio.MaxStreamFrame}[rnd.IntN(12)]
		f := make([]byte, size)
		for at := 0; at+4 <= size; at += 4 {
			binary.NativeEndian.PutUint32(f[at:], uint32(i<<20|at))
		}
		frames[i] = f
	}
	return frames
}

// inPieces returns f in at most n pieces.
func inPieces(rnd *rand.Rand, f []byte, n int) (pieces net.Buffers) {
	for range rnd.IntN(n) {
		k := rnd.IntN(len(f) + 1)
		pieces, f = append(pieces, f[:k]), f[k:]
	}
	return append(pieces, f)
}

// TestStreamLongFrames sends frames of all lengths, whole and in pieces, some at once,
// and receives them in one way or another.
func TestStreamLongFrames(t *testing.T) {
	for _, headers := range []bool{false, true} {
		for _, queue := range []int{0, 4608} {
			seed := rand.Uint64()
			rnd := rand.New(rand.NewPCG(seed, 1))
			t.Logf("seed %d", seed)
			a, b := streams(t, queue, headers)
			want := longFrames(rnd, 60)
			pieces := make([]net.Buffers, len(want))
			for i, f := range want {
				pieces[i] = inPieces(rnd, f, []int{1, 3, 1500}[rnd.IntN(3)])
			}
			go func() {
				for n := 0; n < len(want); {
					tx := link.Tx{Frames: want[n:min(len(want), n+1+n%7)]}
					if n%2 == 0 {
						tx = link.Tx{Pieces: pieces[n:min(len(want), n+1+n%5)]}
					}
					k, _, err := a.Send(tx)
					if n += k; err != nil {
						t.Error(err)
						return
					}
				}
			}()
			receiveInTurns(t, b, want)
		}
	}
}

// receiveInTurns receives frames with Recv, also in short buffers, and RecvPlaced.
func receiveInTurns(t *testing.T, s *sockio.Stream, want [][]byte) {
	t.Helper()
	p, all := &placing{}, buffers(4, sockio.MaxStreamFrame)
	for turn, n := 0, 0; n < len(want); turn++ {
		bufs, sizes := slices.Clone(all[:1+turn%4]), make([]int, 4)
		if turn%5 == 4 {
			bufs[0] = bufs[0][:10000]
		}
		k, err := s.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: turn%3 == 1})
		if turn%2 == 1 && err == nil { // the next ones, of which at least one may be there
			p.reset()
			var placed int
			if placed, err = s.RecvPlaced(p, 3); err == nil {
				for i := range placed {
					bufs, sizes = append(bufs[:k+i], p.bufs[i]), append(sizes[:k+i], p.sizes[i])
				}
				k += placed
			}
		}
		if err != nil && err != link.ErrEmpty {
			t.Fatal(err)
		}
		for i := range k {
			f := want[n]
			if got := bufs[i][:min(sizes[i], len(bufs[i]))]; sizes[i] != len(f) || !bytes.Equal(got, f[:len(got)]) {
				t.Fatalf("frame %d: %d bytes, want %d, or they differ", n, sizes[i], len(f))
			}
			n++
		}
	}
}

// A placing is a link.Placer with a buffer for each frame.
type placing struct {
	bufs  [][]byte
	sizes []int
}

func (p *placing) reset() { p.bufs, p.sizes = nil, nil }

func (p *placing) Place(_, size int, _ frame.VNetHeader) []byte {
	p.bufs, p.sizes = append(p.bufs, make([]byte, size)), append(p.sizes, size)
	return p.bufs[len(p.bufs)-1]
}

// TestStreamUrgent receives a long frame with urgent bytes between its own, which the
// kernel counts and does not give: it is received whole once all of it has come.
func TestStreamUrgent(t *testing.T) {
	f := bytes.Repeat([]byte("long"), 10000)
	for _, placed := range []bool{false, true} {
		s, fd := bareStream(t, sockio.StreamConfig{})
		bufs, sizes := buffers(2, len(f)), make([]int, 2)
		receive := func() (n int, got []byte, err error) {
			if placed {
				p := &placing{}
				if n, err = s.RecvPlaced(p, 2); n > 0 {
					got = p.bufs[0]
				}
				return n, got, err
			}
			n, err = s.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true})
			return n, bufs[0][:sizes[0]], err
		}
		first := record(f)
		for _, part := range [][]byte{first[:4], first[4 : len(first)-2]} { // the second is read where it belongs
			if err := unix.Send(fd, part, 0); err != nil {
				t.Fatal(err)
			}
			if len(part) == 4 {
				if n, _, err := receive(); n != 0 || err != link.ErrEmpty {
					t.Fatal(n, err)
				}
			}
		}
		if err := unix.Send(fd, []byte("uv"), unix.MSG_OOB); err != nil { // of which the last one is urgent
			t.Fatal(err)
		}
		n, got, err := receive()
		for range 3 {
			if err == link.ErrEmpty {
				n, got, err = receive()
			}
		}
		if n != 0 || err != link.ErrEmpty {
			t.Fatalf("%d frames, the last of %d bytes, %v, before all of it has come", n, len(got), err)
		}
		if err := unix.Send(fd, first[len(first)-1:], 0); err != nil {
			t.Fatal(err)
		}
		n, got, err = receive()
		copy(f[len(f)-2:], "ug")
		if n != 1 || err != nil || !bytes.Equal(got, f) {
			t.Errorf("%d frames, the first of %d bytes, %v", n, len(got), err)
		}
	}
}

// TestStreamLongUnread counts long frames of which the beginning was read, and one
// whose rest has not come.
func TestStreamLongUnread(t *testing.T) {
	s, fd := bareStream(t, sockio.StreamConfig{})
	b := record(make([]byte, 30000))
	b = append(append(b, b...), b[:20000]...)
	if err := unix.Send(fd, append(record(make([]byte, 20000)), b...), 0); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Recv(link.Rx{Bufs: buffers(1, 20000), Sizes: make([]int, 1)}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if unread, err := s.Close(); unread != 2 || err != nil {
		t.Errorf("%d unread, %v; want 2", unread, err)
	}
	if _, err := s.RecvPlaced(&placing{}, 1); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestStreamLongNoAllocations sends and receives long frames, also through a queue that
// takes a part of one.
func TestStreamLongNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("a sync.Pool loses buffers under the race detector")
	}
	a, b := streams(t, 64<<10, true)
	frames, bufs, sizes := buffers(3, 65000), buffers(3, 65000), make([]int, 3)
	pieces := []net.Buffers{{frames[0][:100], frames[0][100:]}}
	allocs := testing.AllocsPerRun(100, func() {
		sent, _, _ := a.Send(link.Tx{Frames: frames, NoWait: true})
		for sent > 0 {
			n, _ := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true})
			sent -= n
			_ = a.Flush()
		}
		a.Send(link.Tx{Pieces: pieces, NoWait: true})
		for n := 0; n == 0; n, _ = b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true}) {
			_ = a.Flush()
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations in two batches, want 0", allocs)
	}
}
