// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"bytes"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/vde"
)

// FuzzUndo lets a switch that agreed to offload headers send anything to a
// connection that did not ask for them. What is in order must come out finished,
// as far as buffers have room, and everything else as one frame too short to be
// any.
func FuzzUndo(f *testing.F) {
	f.Add([]byte(nil), 100)
	f.Add(make([]byte, 9), 0)
	f.Add(headed(testFrame(60, 1)), 60)
	f.Add(headed(testFrame(60, 1)), 20)
	f.Add(longFrame(3000, 1000), 2000)
	f.Add(longFrame(3000, 1000), 1000)
	f.Add(barelyFinished(), 100)
	f.Add(longFrame(3000, 1000)[:500], 2000)
	f.Fuzz(func(t *testing.T, d []byte, room int) {
		if room < 0 || room > 4096 || len(d) > 4096 {
			return // larger ones are only slower
		}
		before := bytes.Clone(d)
		frames, sizes := vde.Undo(d, room)
		o, err := frame.ParseVNetHeader(before)
		if err != nil || gso.Check(o, before[frame.VNetHeaderLen:]) != nil {
			if len(sizes) != 1 || sizes[0] >= frame.HeaderLen || (sizes[0] == 0) != (len(before) == 0) {
				t.Fatalf("what is wrong came as frames of %d bytes", sizes)
			}
			return
		}
		want := finished(before)
		if len(frames) != len(want) {
			t.Fatalf("%d frames, want %d", len(frames), len(want))
		}
		for i, w := range want {
			if sizes[i] != max(len(w), 1) || len(w) > 0 && !bytes.Equal(frames[i], w[:min(len(w), room)]) {
				t.Fatalf("frame %d of %d bytes: % x, told %d; want % x", i, len(w), frames[i], sizes[i], w)
			}
		}
	})
}
