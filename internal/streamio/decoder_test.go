// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio

import (
	"bytes"
	"testing"
)

// split returns the frames in a whole stream, in the plainest way, how much of it
// they take, and whether it ends with a header that cannot be.
func split(f *Framing, stream []byte) (frames [][]byte, bad bool) {
	for len(stream) >= f.HeaderLen {
		size := 0
		for i := range f.HeaderLen {
			b := int(stream[i])
			if f == QEMU {
				size = size<<8 | b
			} else {
				size |= b << (8 * i)
			}
		}
		if size > f.MaxSize {
			return frames, true
		}
		if len(stream) < f.HeaderLen+size {
			return frames, false
		}
		frames = append(frames, stream[f.HeaderLen:f.HeaderLen+size])
		stream = stream[f.HeaderLen+size:]
	}
	return frames, false
}

// FuzzDecoder reads a stream in pieces of any lengths; the frames must be those of
// the whole.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0eaaaaaaaaaaaaaa\x00\x00\x00\x00\x00\x00\x00\x01b\x00"), []byte{1, 2, 3}, true)
	f.Add([]byte("\x0e\x00aaaaaaaaaaaaaa\x00\x00\x01\x00b\xff\xffshort"), []byte{7, 1}, false)
	f.Add([]byte("GET / HTTP/1.1\r\n"), []byte{3}, true)
	f.Add([]byte("\x00\x01\x10\x00"), []byte{4}, true)
	f.Add([]byte("\xff\xff\xff\xff\x00"), []byte{}, true)
	f.Add(append([]byte{0, 0, 0x10, 0}, make([]byte, 4099)...), []byte{255}, true)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, qemu bool) {
		framing := Hyperkit
		if qemu {
			framing = QEMU
		}
		want, wantBad := split(framing, stream)
		d := decoder{framing: framing}
		var got [][]byte
		bad := false
		for i := 0; !bad; i++ {
			for {
				frame, h, ok, err := d.next()
				if bad = err != nil; !ok || bad {
					break
				}
				if !h.IsZero() {
					t.Fatalf("metadata %+v", h)
				}
				got = append(got, bytes.Clone(frame))
			}
			if bad || len(stream) == 0 {
				break
			}
			n := len(stream)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
			}
			room := d.room()
			n = min(n, len(room))
			if n == 0 {
				t.Fatal("no room")
			}
			d.read(copy(room, stream[:n]))
			stream = stream[n:]
		}
		if bad != wantBad || len(got) != len(want) {
			t.Fatalf("%d frames, bad %v; want %d, %v", len(got), bad, len(want), wantBad)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("frame %d: %x, want %x", i, got[i], want[i])
			}
		}
	})
}
