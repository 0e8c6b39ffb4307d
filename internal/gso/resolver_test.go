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

var (
	errNothing = errors.New("nothing there")
	errEnd     = errors.New("the end")
)

// A source gives frames in batches of any size, and then an error.
type source struct {
	batches [][]given
	end     error
	waits   []bool // what it was called with
	asked   []int  // for how many
}

type given struct {
	o frame.VNetHeader
	f []byte
}

func (s *source) recv(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (n int, err error) {
	s.waits, s.asked = append(s.waits, wait), append(s.asked, len(bufs))
	switch {
	case len(s.batches) == 0 && !wait:
		return 0, errNothing
	case len(s.batches) == 0:
		return 0, s.end
	}
	next := s.batches[0]
	n = min(len(next), len(bufs))
	for i, g := range next[:n] {
		copy(bufs[i], g.f)
		sizes[i], headers[i] = len(g.f), g.o
	}
	if s.batches[0] = next[n:]; len(next) == n {
		s.batches = s.batches[1:]
	}
	return n, nil
}

// all is one of each: an ordinary frame, the examples, and the longest GSO frame.
func all(t testing.TB) (list []given, want [][]byte) {
	t.Helper()
	list, want = []given{{f: unhex(t, plain)}}, [][]byte{unhex(t, plain)}
	for _, e := range examples {
		list = append(list, given{e.o, unhex(t, e.in)})
		for _, out := range e.out {
			want = append(want, unhex(t, out))
		}
	}
	o, f := longSegment(t)
	return append(list, given{o, f}), append(want, segments(t, o, f)...)
}

// TestResolver receives batches of many sizes: what does not fit into one is kept
// for the next, and comes without waiting.
func TestResolver(t *testing.T) {
	list, want := all(t)
	for _, split := range []int{1, 2, len(list)} {
		for _, batch := range []int{1, 2, 7, 64} {
			src := &source{batches: slices.Collect(slices.Chunk(slices.Clone(list), split)), end: errEnd}
			r := gso.Resolver{Source: src.recv}
			var got [][]byte
			for {
				bufs, sizes := make([][]byte, batch), make([]int, batch)
				for i := range bufs {
					bufs[i] = make([]byte, 2000)
				}
				kept, calls := r.Pending(), len(src.waits)
				n, err := r.Recv(bufs, sizes, true)
				if kept && len(src.waits) != calls {
					t.Fatal("asked for more while frames were kept")
				}
				if err != nil {
					if n != 0 || err != errEnd {
						t.Errorf("%d, %v", n, err)
					}
					break
				}
				for i, b := range bufs[:n] {
					got = append(got, b[:sizes[i]])
				}
			}
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("split %d, batch %d: %d frames came, not the %d expected", split, batch, len(got), len(want))
			}
			if n := slices.Max(src.asked); n > batch {
				t.Errorf("asked for %d frames, has room for %d", n, batch)
			}
		}
	}
}

// TestResolverShortBuffers checks that only the beginning is missing nothing, and
// that sizes tell the whole.
func TestResolverShortBuffers(t *testing.T) {
	list, want := all(t)
	for _, room := range []int{0, 1, 54, 66, 70, 100, 1513, 1514} {
		src := &source{batches: [][]given{slices.Clone(list)}, end: errEnd}
		r := gso.Resolver{Source: src.recv}
		buf, sizes := make([]byte, room, room+10), make([]int, 1)
		for i, w := range want {
			n, err := r.Recv([][]byte{buf}, sizes, true)
			if n != 1 || err != nil || sizes[0] != len(w) || !bytes.Equal(buf[:min(room, len(w))], w[:min(room, len(w))]) {
				t.Fatalf("room %d, frame %d: %d, %v, of size %d, want %d", room, i, n, err, sizes[0], len(w))
			}
		}
		if over := buf[room : room+10]; !bytes.Equal(over, make([]byte, 10)) {
			t.Errorf("room %d: written beyond it: % x", room, over)
		}
	}
}

// TestResolverSizes gives fewer sizes than buffers.
func TestResolverSizes(t *testing.T) {
	list, _ := all(t)
	src := &source{batches: [][]given{list}}
	r := gso.Resolver{Source: src.recv}
	bufs := [][]byte{make([]byte, 100), make([]byte, 100), make([]byte, 100)}
	if n, err := r.Recv(bufs, make([]int, 2), true); n != 2 || err != nil {
		t.Errorf("%d, %v, want 2", n, err)
	}
}

// TestResolverNoWait checks that a call that does not wait does not have the
// source wait, and that frames kept are not hidden by its having none.
func TestResolverNoWait(t *testing.T) {
	src := &source{batches: [][]given{{{offload4, unhex(t, super4)}}}}
	r := gso.Resolver{Source: src.recv}
	buf, sizes := [][]byte{make([]byte, 100)}, make([]int, 1)
	for i := range 3 { // the segments
		if n, err := r.Recv(buf, sizes, false); n != 1 || err != nil {
			t.Fatalf("segment %d: %d, %v", i, n, err)
		}
	}
	if n, err := r.Recv(buf, sizes, false); n != 0 || err != errNothing {
		t.Errorf("%d, %v", n, err)
	}
	if !slices.Equal(src.waits, []bool{false, false}) {
		t.Errorf("asked to wait: %v", src.waits)
	}
}

// TestResolverClose checks that each frame is either received or counted.
func TestResolverClose(t *testing.T) {
	list, want := all(t)
	for received := range 12 {
		src := &source{batches: [][]given{slices.Clone(list)}, end: errEnd}
		r := gso.Resolver{Source: src.recv}
		buf, sizes := [][]byte{make([]byte, 2000), make([]byte, 2000)}, make([]int, 2)
		got := 0
		for range received {
			n, err := r.Recv(buf, sizes, true)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		kept, ahead := r.Close(), 0
		for _, b := range src.batches { // what the source still has
			for _, g := range b {
				ahead += gso.Count(g.o, g.f)
			}
		}
		// A GSO frame that was not looked at counts as one: two are asked for.
		if short := len(want) - got - kept - ahead; short != 0 && !(r.Pending() && short > 0 && short < 4) {
			t.Errorf("after %d receives: %d received, %d kept, %d at the source, of %d", received, got, kept, ahead, len(want))
		}
		if again := r.Close(); again != 0 {
			t.Errorf("counted again: %d", again)
		}
		if r.Pending() {
			if n, err := r.Recv(buf, sizes, true); n != 0 || !errors.Is(err, net.ErrClosed) {
				t.Errorf("Recv of what was counted: %d, %v", n, err)
			}
		}
	}
}

// TestResolverCloseWhileReceiving closes between the source's answer and the end
// of the call: what the call cannot give is counted all the same.
func TestResolverCloseWhileReceiving(t *testing.T) {
	src := &source{batches: [][]given{{{offload4, unhex(t, super4)}}}}
	var r gso.Resolver
	closed := 0
	r.Source = func(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (int, error) {
		n, err := src.recv(bufs, sizes, headers, wait)
		closed += r.Close()
		return n, err
	}
	n, err := r.Recv([][]byte{make([]byte, 100)}, make([]int, 1), true)
	if n != 1 || err != nil || closed != 0 || r.Late() != 2 {
		t.Errorf("%d, %v; %d counted by Close, %d late; want 1 received and 2 late", n, err, closed, r.Late())
	}
	if n, err := r.Recv([][]byte{make([]byte, 100)}, make([]int, 1), true); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Recv of what was counted: %d, %v", n, err)
	}
}

// TestResolverAllocates checks that it does so once.
func TestResolverAllocates(t *testing.T) {
	o, f := longSegment(t)
	r := gso.Resolver{Source: func(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (int, error) {
		copy(bufs[0], f)
		sizes[0], headers[0] = len(f), o
		return 1, nil
	}}
	bufs, sizes := [][]byte{make([]byte, 100), make([]byte, 2000)}, make([]int, 2)
	if n := testing.AllocsPerRun(100, func() { r.Recv(bufs, sizes, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzResolver has the source give any frame that has passed Check.
func FuzzResolver(f *testing.F) {
	for _, e := range examples {
		h := make([]byte, frame.VNetHeaderLen)
		e.o.Put(h)
		for _, room := range []int{0, 60, 2000} {
			f.Add(append(h[:len(h):len(h)], unhex(f, e.in)...), room)
		}
	}
	var r gso.Resolver // its memory is used again: workers run one input at a time
	f.Fuzz(func(t *testing.T, d []byte, room int) {
		if room < 0 || room > 4096 || len(d) > 4096 {
			return // larger ones are only slower
		}
		o, err := frame.ParseVNetHeader(d)
		if err != nil {
			return
		}
		in := d[frame.VNetHeaderLen:]
		if o, err = gso.Accept(o, in, len(in)); err != nil {
			return
		}
		want := [][]byte{bytes.Clone(in)}
		if o.GSOType != frame.GSONone {
			want = segments(t, o, in)
		} else {
			gso.Finish(o, want[0])
		}
		r.Source = (&source{batches: [][]given{{{o, in}}}, end: errEnd}).recv
		for i, w := range want {
			buf, sizes := make([]byte, room), make([]int, 1)
			if n, err := r.Recv([][]byte{buf}, sizes, true); n != 1 || err != nil || sizes[0] != len(w) {
				t.Fatalf("frame %d of %d: %d, %v, of size %d, want %d", i, len(want), n, err, sizes[0], len(w))
			}
			if n := min(room, len(w)); !bytes.Equal(buf[:n], w[:n]) {
				t.Fatalf("frame %d: % x, want % x", i, buf[:n], w[:n])
			}
		}
		if n, err := r.Recv([][]byte{make([]byte, room)}, make([]int, 1), true); n != 0 || err != errEnd {
			t.Fatalf("more than %d frames: %d, %v", len(want), n, err)
		}
	})
}

// Fields that mean nothing go on to nobody.
func TestAcceptForgets(t *testing.T) {
	f4, f6, fU := unhex(t, super4), unhex(t, super6), unhex(t, udp4)
	set := func(o frame.VNetHeader, flags uint8, hdrLen, size uint16) frame.VNetHeader {
		o.Flags, o.HdrLen, o.GSOSize = flags, hdrLen, size
		return o
	}
	for _, test := range []struct {
		in   frame.VNetHeader
		f    []byte
		want frame.VNetHeader
	}{
		{frame.VNetHeader{HdrLen: 1, GSOSize: 2, CsumStart: 3, CsumOffset: 4}, fU, frame.VNetHeader{}},
		{frame.VNetHeader{Flags: valid, HdrLen: 1, GSOSize: 2, CsumStart: 3, CsumOffset: 4}, fU, frame.VNetHeader{Flags: valid}},
		{set(offloadU, needs, 1, 2), fU, offloadU},
		{set(offload4, needs, 1, 8), f4, offload4},
		{set(offload6, needs|valid, 1, 8), f6, set(offload6, needs|valid, offload6.HdrLen, 8)},
	} {
		if got, err := gso.Accept(test.in, test.f, len(test.f)); got != test.want || err != nil {
			t.Errorf("%+v: %+v, %v, want %+v", test.in, got, err, test.want)
		}
	}
}

// TestSegments checks that each segment has memory of its own.
func TestSegments(t *testing.T) {
	o, f := longSegment(t)
	before := bytes.Clone(f)
	got, want := gso.Segments(o, f), segments(t, o, f)
	for i, g := range got {
		if i >= len(want) || !bytes.Equal(g, want[i]) {
			t.Fatalf("segment %d of %d is another", i, len(want))
		}
		clear(g[:cap(g)])
	}
	if len(got) != len(want) || !bytes.Equal(f, before) {
		t.Errorf("%d segments, want %d; the frame was modified: %v", len(got), len(want), !bytes.Equal(f, before))
	}
}
