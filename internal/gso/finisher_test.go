// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso_test

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

var errNoRoom = errors.New("no room")

// A taker takes so many frames, then no more.
type taker struct {
	room   int
	frames [][]byte
	pieces int
}

func (k *taker) SendPieces(frames []net.Buffers, wait bool) (n, calls int, err error) {
	for _, f := range frames {
		if k.room == 0 {
			return n, min(n, 1), errNoRoom
		}
		k.room--
		n++
		k.pieces += len(f)
		k.frames = append(k.frames, bytes.Join(f, nil))
	}
	return n, min(n, 1), nil
}

// plain is a frame to which nothing is to be done.
const plain = "ffffffffffff02010000000288b5" + "0102030405"

func TestFinisher(t *testing.T) {
	given := [][]byte{unhex(t, plain)}
	headers := []frame.VNetHeader{{}}
	want := [][]byte{unhex(t, plain)}
	ends := []int{1} // in want, of each frame given
	for _, e := range examples[:len(examples)-1] {
		given = append(given, unhex(t, e.in))
		headers = append(headers, e.o)
		for _, out := range e.out {
			want = append(want, unhex(t, out))
		}
		ends = append(ends, len(want))
	}
	before := make([][]byte, len(given))
	for i, f := range given {
		before[i] = bytes.Clone(f)
	}
	var s gso.Finisher
	for room := range len(want) + 1 {
		for _, cut := range []int{0, 1, 5, frame.VNetHeaderLen, 30, 70} {
			k := taker{room: room}
			var n int
			var err error
			if cut == 0 {
				n, _, err = s.Send(&k, given, headers, true)
			} else {
				pieces := make([]net.Buffers, len(given))
				for i, f := range given {
					// An empty piece, and one that ends anywhere.
					pieces[i] = net.Buffers{f[:0], f[:min(cut, len(f))], f[min(cut, len(f)):]}
				}
				n, _, err = s.SendPieces(&k, pieces, headers, true)
				for i, p := range pieces {
					if len(p) != 3 || !bytes.Equal(bytes.Join(p, nil), before[i]) {
						t.Fatalf("the pieces of frame %d were modified", i)
					}
				}
			}
			whole := 0
			for whole < len(ends) && ends[whole] <= room {
				whole++
			}
			if n != whole || (err == nil) != (n == len(given)) || err != nil && err != errNoRoom {
				t.Errorf("room %d, cut %d: sent %d, %v; want %d", room, cut, n, err, whole)
			}
			if !slices.EqualFunc(k.frames, want[:room], bytes.Equal) {
				t.Errorf("room %d, cut %d: other frames came: %x", room, cut, k.frames)
			}
		}
	}
	for i, f := range given {
		if !bytes.Equal(f, before[i]) {
			t.Errorf("frame %d was modified", i)
		}
	}
}

// TestFinisherLong sends more than there is space for at once, and checks that
// nothing is allocated, and that plain frames stay in pieces.
func TestFinisherLong(t *testing.T) {
	o, f := longSegment(t)
	want := segments(t, o, f)
	frames := [][]byte{f, unhex(t, plain), f}
	headers := []frame.VNetHeader{o, {}, o}
	pieces := []net.Buffers{
		{f[:0], f[:100], f[100:4000], f[4000:]},
		{frames[1][:0], frames[1][:10], frames[1][10:]},
	}
	var s gso.Finisher
	k := taker{room: 1000}
	if n, _, err := s.Send(&k, frames, headers, true); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	all := slices.Concat(want, [][]byte{unhex(t, plain)}, want)
	if !slices.EqualFunc(k.frames, all, bytes.Equal) {
		t.Errorf("%d frames came, not the %d expected", len(k.frames), len(all))
	}
	k = taker{room: 1000}
	if n, _, err := s.SendPieces(&k, pieces, headers, true); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if !slices.EqualFunc(k.frames, all[:len(want)+1], bytes.Equal) || k.pieces != len(want)+2 {
		t.Errorf("in pieces: %d frames came, in %d pieces", len(k.frames), k.pieces)
	}
	if n := testing.AllocsPerRun(10, func() {
		s.Send(discard{}, frames, headers, true)
		s.SendPieces(discard{}, pieces, headers, true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type discard struct{}

func (discard) SendPieces(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return len(frames), 1, nil
}

// FuzzCheckHead checks that the beginning of a frame is enough.
func FuzzCheckHead(f *testing.F) {
	for _, e := range examples {
		h := make([]byte, frame.VNetHeaderLen)
		e.o.Put(h)
		f.Add(append(h, unhex(f, e.in)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := frame.ParseVNetHeader(b)
		if err != nil {
			return
		}
		b = b[frame.VNetHeaderLen:]
		whole, head := gso.Check(o, b), gso.CheckHead(o, b[:min(len(b), gso.MaxHead)], len(b))
		if whole != head {
			t.Errorf("%v, and by its head %v", whole, head)
		}
	})
}
