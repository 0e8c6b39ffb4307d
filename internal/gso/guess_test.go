// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// longSegmentOfPseudo is longSegment with the checksum of its pseudo-header.
func longSegmentOfPseudo(t testing.TB) (frame.VNetHeader, []byte) {
	t.Helper()
	o, f := longSegment(t)
	n := len(f) - int(o.CsumStart)
	sum := slowSum(f[26:34], []byte{0, 6, byte(n >> 8), byte(n)})
	binary.BigEndian.PutUint16(f[o.CsumStart+o.CsumOffset:], sum)
	return o, f
}

// TestGuess takes the header away from frames and guesses it.
func TestGuess(t *testing.T) {
	long, f := longSegmentOfPseudo(t)
	mtu := int(long.GSOSize) + int(long.HdrLen) - frame.HeaderLen
	if h := gso.Guess(slices.Clone(f), mtu); h != long {
		t.Errorf("a long segment: %+v, want %+v", h, long)
	}
	partial := long
	partial.GSOType, partial.HdrLen, partial.GSOSize = frame.GSONone, 0, 0
	if h := gso.Guess(slices.Clone(f), len(f)); h != partial {
		t.Errorf("a partial checksum: %+v, want %+v", h, partial)
	}
	complete := slices.Clone(f)
	gso.Finish(partial, complete)
	if h := gso.Guess(slices.Clone(complete), len(f)); !h.IsZero() {
		t.Errorf("a complete checksum: %+v", h)
	}
	again := slices.Clone(complete)
	if h := gso.Guess(again, mtu); h != long || !bytes.Equal(again, f) {
		t.Errorf("a long segment with a complete checksum: %+v, want %+v", h, long)
	}
	complete[len(complete)-1] ^= 1
	wrong := slices.Clone(complete)
	if h := gso.Guess(wrong, mtu); !h.IsZero() || !bytes.Equal(wrong, complete) {
		t.Errorf("a wrong checksum: %+v", h)
	}
}

// FuzzGuess guesses about anything: what is guessed is what can be finished, and
// nothing else is changed.
func FuzzGuess(f *testing.F) {
	long, segment := longSegmentOfPseudo(f)
	f.Add(segment, uint16(1500))
	f.Add(segment, uint16(100))
	for _, s := range gso.Segments(long, slices.Clone(segment)) {
		f.Add(s, uint16(1500))
		f.Add(s, uint16(60))
	}
	f.Fuzz(func(t *testing.T, b []byte, mtu uint16) {
		guessed := slices.Clone(b)
		h := gso.Guess(guessed, int(mtu))
		if h.IsZero() {
			if !bytes.Equal(guessed, b) {
				t.Fatal("changed a frame as it is")
			}
			return
		}
		if err := gso.Check(h, guessed); err != nil {
			t.Fatalf("%+v: %v", h, err)
		}
		at := int(h.CsumStart + h.CsumOffset)
		if !bytes.Equal(guessed[:at], b[:at]) || !bytes.Equal(guessed[at+2:], b[at+2:]) {
			t.Fatal("changed more than the checksum")
		}
		if h.GSOType == frame.GSONone {
			gso.Finish(h, guessed)
			if again := gso.Guess(guessed, 1<<16); !again.IsZero() {
				t.Fatalf("a completed checksum is taken for %+v", again)
			}
			return
		}
		for _, s := range gso.Segments(h, guessed) {
			if len(s) > int(mtu)+int(h.CsumStart) {
				t.Fatalf("a segment of %d bytes for MTU %d", len(s), mtu)
			}
			if again := gso.Guess(slices.Clone(s), int(mtu)); !again.IsZero() {
				t.Fatalf("a segment is taken for %+v", again)
			}
		}
	})
}
