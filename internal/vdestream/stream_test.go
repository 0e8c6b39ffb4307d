// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdestream_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/internal/vdestream"
	"github.com/go-vde/sdk/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// readAll returns the frames that d reads, and the error after them.
func readAll(d *vdestream.Decoder) (frames [][]byte, err error) {
	buf := make([]byte, vdestream.MaxLen)
	for {
		n, err := d.ReadFrame(buf)
		if err != nil {
			return frames, err
		}
		frames = append(frames, bytes.Clone(buf[:n]))
	}
}

// TestDecoder reads streams as whole, and byte by byte: a reader that has no buffer
// loses a frame whose length has come before the rest, or a length of which only
// one byte has come.
func TestDecoder(t *testing.T) {
	long := strings.Repeat("x", vdestream.DefaultLimit)
	for _, test := range []struct {
		name, stream string
		want         []string
		err          error
	}{
		{"nothing", "", nil, io.EOF},
		{"two frames", "\x00\x03abc\x00\x01d", []string{"abc", "d"}, io.EOF},
		{"empty frames are skipped", "\x00\x00\x00\x01d\x00\x00\x00\x00", []string{"d"}, io.EOF},
		{"longest", "\x24\x14" + long + "\x00\x01d", []string{long, "d"}, io.EOF},
		{"too long", "\x00\x01d\x24\x15" + long + "\x00\x01d", []string{"d"}, vdestream.ErrLength},
		{"text", "\x00\x01dThe authenticity of host", []string{"d"}, vdestream.ErrLength},
		{"half a length", "\x00\x01d\x00", []string{"d"}, io.ErrUnexpectedEOF},
		{"no payload", "\x00\x01d\x00\x02", []string{"d"}, io.ErrUnexpectedEOF},
		{"half a payload", "\x00\x02d", nil, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, wrap := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
			} {
				d := vdestream.NewDecoder(wrap(strings.NewReader(test.stream)), vdestream.DefaultLimit)
				frames, err := readAll(d)
				if len(frames) != len(test.want) || !errors.Is(err, test.err) {
					t.Fatalf("%d frames, %v; want %d, %v", len(frames), err, len(test.want), test.err)
				}
				for i, f := range frames {
					if string(f) != test.want[i] {
						t.Errorf("frame %d is %q, want %q", i, f, test.want[i])
					}
				}
				if again, err := readAll(d); len(again) > 0 || !errors.Is(err, test.err) {
					t.Errorf("after the end: %d frames, %v", len(again), err)
				}
			}
		})
	}
}

// TestDecoderGoesOn checks that what has come of a frame is kept when a read fails.
func TestDecoderGoesOn(t *testing.T) {
	r := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("\x00\x03abc\x00\x01d")))
	d := vdestream.NewDecoder(r, 100)
	buf := make([]byte, 100)
	if n, err := d.ReadFrame(buf); err != iotest.ErrTimeout {
		t.Fatalf("%d, %v: no time-out", n, err)
	}
	if frames, err := readAll(d); len(frames) != 2 || string(frames[0]) != "abc" || string(frames[1]) != "d" || err != io.EOF {
		t.Errorf("%q, %v", frames, err)
	}
}

// TestDecoderShortBuffer checks that the size of a frame tells that it was cut.
func TestDecoderShortBuffer(t *testing.T) {
	d := vdestream.NewDecoder(strings.NewReader("\x00\x03abc\x00\x01d"), 100)
	buf := make([]byte, 2)
	if n, err := d.ReadFrame(buf); n != 3 || err != nil || string(buf) != "ab" {
		t.Errorf("%d, %v, %q", n, err, buf)
	}
	if n, err := d.ReadFrame(buf); n != 1 || err != nil || buf[0] != 'd' {
		t.Errorf("%d, %v, %q", n, err, buf)
	}
	d = vdestream.NewDecoder(iotest.ErrReader(nil), 100)
	if n, err := d.ReadFrame(buf); n != 0 || err != io.ErrNoProgress {
		t.Errorf("a reader without progress: %d, %v", n, err)
	}
}

// A recorder notes each write, of which it takes limit bytes in all.
type recorder struct {
	writes []string
	limit  int
}

func (r *recorder) Write(b []byte) (int, error) {
	n := min(len(b), r.limit)
	r.limit -= n
	r.writes = append(r.writes, string(b[:n]))
	if n < len(b) {
		return n, syscall.EPIPE
	}
	return n, nil
}

// TestEncoder checks that a batch is written with as few writes as a pipe keeps
// together, each of whole frames.
func TestEncoder(t *testing.T) {
	frame := func(n int) []byte { return bytes.Repeat([]byte{'x'}, n) }
	batch := func(count, n int) (frames [][]byte) {
		for range count {
			frames = append(frames, frame(n))
		}
		return frames
	}
	for _, test := range []struct {
		name   string
		frames [][]byte
		writes []int
	}{
		{"small", batch(64, 60), []int{62 * 64}},
		{"one", batch(1, 1514), []int{1516}},
		{"three", batch(3, 1514), []int{2 * 1516, 1516}},
		{"a page", batch(2, 2046), []int{4096}},
		{"over a page", batch(2, 2047), []int{2049, 2049}},
		{"long", [][]byte{frame(60), frame(9000), frame(60), frame(60)}, []int{62, 9002, 124}},
		{"empty", [][]byte{{}, frame(1)}, []int{5}},
		{"none", nil, nil},
	} {
		want := test.writes
		r := &recorder{limit: 1 << 20}
		n, err := vdestream.NewEncoder(r, vdestream.DefaultWriteSize).WriteFrames(test.frames)
		if n != len(test.frames) || err != nil || len(r.writes) != len(want) {
			t.Fatalf("%s: %d, %v in %d writes, want %d", test.name, n, err, len(r.writes), len(want))
		}
		for i, w := range r.writes {
			if len(w) != want[i] {
				t.Errorf("%s: write %d has %d bytes, want %d", test.name, i, len(w), want[i])
			}
		}
	}
}

// TestEncoderFails checks that a frame counts as written when all of it was.
func TestEncoderFails(t *testing.T) {
	frames := [][]byte{[]byte("abc"), []byte("d"), make([]byte, 5000), []byte("e")}
	for limit, want := range map[int]int{0: 0, 4: 0, 5: 1, 7: 1, 8: 2, 9: 2, 8 + 5001: 2, 8 + 5002: 3, 8 + 5004: 3} {
		if n, err := vdestream.NewEncoder(&recorder{limit: limit}, vdestream.DefaultWriteSize).WriteFrames(frames); n != want || err != syscall.EPIPE {
			t.Errorf("%d bytes are taken: %d frames, %v; want %d", limit, n, err, want)
		}
	}
	r := &recorder{limit: 1 << 20}
	frames[2] = make([]byte, vdestream.MaxLen+1)
	if n, err := vdestream.NewEncoder(r, vdestream.DefaultWriteSize).WriteFrames(frames); n != 2 || !errors.Is(err, syscall.EMSGSIZE) || r.limit != 1<<20-8 {
		t.Errorf("a frame that is too long: %d, %v, %d bytes", n, err, 1<<20-r.limit)
	}
}

// pipes returns two ends of a stream over pipes of the kernel.
func pipes(tb testing.TB) (a, b vdestream.Pipes) {
	tb.Helper()
	ar, bw, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	br, aw, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	return vdestream.Pipes{In: ar, Out: aw, Closer: both{ar, aw}}, vdestream.Pipes{In: br, Out: bw, Closer: both{br, bw}}
}

// both closes two files.
type both [2]*os.File

func (b both) Close() error { return errors.Join(b[0].Close(), b[1].Close()) }

// TestLongFrame checks that Send refuses a frame which the format, or the other
// side, cannot take, and nothing else.
func TestLongFrame(t *testing.T) {
	pa, pb := pipes(t)
	a, err := vdestream.New(pa, vdestream.Config{Config: link.Config{MaxFrameSize: 1521}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := vdestream.New(pb, vdestream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	long := make([]byte, 1522)
	for _, tx := range []link.Tx{
		{Frames: [][]byte{{1}, {2}, long, {3}}},
		{Pieces: []net.Buffers{{{1}}, {{2}}, {long[:1500], long[:22]}, {{3}}}},
	} {
		if n, calls, err := a.Send(tx); n != 2 || calls != 1 || !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("Send: %d, %d, %v", n, calls, err)
		}
		rest := tx.From(2)
		if n, calls, err := a.Send(rest); n != 0 || calls != 0 || !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("Send of the long frame: %d, %d, %v", n, calls, err)
		}
		if n, _, err := a.Send(rest.From(1)); n != 1 || err != nil {
			t.Errorf("Send of the next: %d, %v", n, err)
		}
		buf, sizes := make([]byte, 2000), make([]int, 1)
		for want := byte(1); want <= 3; want++ {
			if n, err := b.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || err != nil || sizes[0] != 1 || buf[0] != want {
				t.Errorf("frame %d: %d of %d bytes, %v", want, n, sizes[0], err)
			}
		}
	}
	for _, l := range []link.Link{a, b} {
		if _, err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	pa, pb = pipes(t)
	if _, err := vdestream.New(pa, vdestream.Config{Config: link.Config{MaxFrameSize: vdestream.MaxLen + 1}}); err == nil {
		t.Error("a link for frames that are too long")
	}
	if _, err := pb.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the stream of the link that failed is open: %v", err)
	}
	pb.Close()
}
