// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdestream_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/go-vde/sdk/internal/vdestream"
)

// cutReader returns its bytes in pieces whose lengths cuts gives, over and over.
type cutReader struct{ data, cuts []byte }

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := len(r.data)
	if len(r.cuts) > 0 {
		n = min(n, int(r.cuts[0])+1)
		r.cuts = append(r.cuts[1:len(r.cuts):len(r.cuts)], r.cuts[0])
	}
	n = copy(p, r.data[:n])
	r.data = r.data[n:]
	return n, nil
}

// framesOf is what a Decoder has to find in a stream that is there as a whole.
func framesOf(stream []byte, limit int) (frames [][]byte, err error) {
	for {
		switch {
		case len(stream) == 0:
			return frames, io.EOF
		case len(stream) == 1:
			return frames, io.ErrUnexpectedEOF
		}
		n := int(stream[0])<<8 + int(stream[1])
		switch {
		case n > limit:
			return frames, vdestream.ErrLength
		case n > len(stream)-2:
			return frames, io.ErrUnexpectedEOF
		case n > 0:
			frames = append(frames, stream[2:2+n])
		}
		stream = stream[2+n:]
	}
}

// FuzzDecoder compares what is read from a stream that comes in pieces with what is
// in it, and encodes it again.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x00\x00\x00\x01d"), []byte{0}, uint16(100))
	f.Add([]byte("\x00\x03abc\x00\x05d"), []byte{1, 3}, uint16(4))
	f.Add(append([]byte{0x24, 0x14}, make([]byte, 9236)...), []byte{200, 0}, uint16(9236))
	f.Add([]byte("\xff\xff\xff"), []byte{}, uint16(65535))
	f.Fuzz(func(t *testing.T, stream, cuts []byte, limit uint16) {
		want, wantErr := framesOf(stream, int(limit))
		got, err := readAll(vdestream.NewDecoder(&cutReader{stream, cuts}, int(limit)))
		if len(got) != len(want) || !errors.Is(err, wantErr) {
			t.Fatalf("%d frames, %v; want %d, %v", len(got), err, len(want), wantErr)
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("frame %d is %q, want %q", i, got[i], want[i])
			}
		}
		var again bytes.Buffer
		if n, err := vdestream.NewEncoder(&again, vdestream.DefaultWriteSize).WriteFrames(got); n != len(got) || err != nil {
			t.Fatalf("WriteFrames: %d, %v", n, err)
		}
		if back, err := framesOf(again.Bytes(), vdestream.MaxLen); len(back) != len(want) || err != io.EOF {
			t.Errorf("encoded again: %d frames, %v", len(back), err)
		}
	})
}
