// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testframe_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/testframe"
)

var (
	macA = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB = [6]byte{2, 0, 0, 0, 0, 0xb}
)

// testFrame returns a test frame of n bytes.
func testFrame(dst, src [6]byte, n int, seq uint64) []byte {
	b := make([]byte, n)
	copy(b, dst[:])
	copy(b[6:], src[:])
	testframe.Fill(b, seq)
	return b
}

func TestTestFrame(t *testing.T) {
	t.Parallel()
	for _, n := range []int{26, 27, 60, 1514, 9234, 65536} {
		for _, seq := range []uint64{0, 1, 255, 256, 1 << 40, 1<<64 - 1} {
			frame := testFrame(macB, macA, n, seq)
			if got, err := testframe.Check(frame); err != nil || got != seq {
				t.Fatalf("%d bytes: %d, %v; want %d", n, got, err, seq)
			}
			// Every byte behind the addresses counts.
			for i := 12; i < min(n, 2000); i++ {
				frame[i]++
				if _, err := testframe.Check(frame); err == nil && (n > testframe.MinSize || i < 14) {
					t.Fatalf("%d bytes: byte %d changed unnoticed", n, i)
				}
				frame[i]--
			}
			for _, cut := range []int{14, 25, n - 1} {
				if _, err := testframe.Check(frame[:cut]); err == nil {
					t.Fatalf("%d bytes: cut to %d unnoticed", n, cut)
				}
			}
		}
	}
	padded := append(testFrame(macB, macA, 40, 7), bytes.Repeat([]byte{0xee}, 20)...)
	if seq, err := testframe.Check(padded); err != nil || seq != 7 {
		t.Errorf("padded: %d, %v", seq, err)
	}
	if _, err := testframe.Check(padded[:59]); err == nil {
		t.Error("padded to 59 bytes unnoticed")
	}
	for _, other := range [][]byte{nil, make([]byte, 13), make([]byte, 60)} {
		if _, err := testframe.Check(other); !errors.Is(err, testframe.ErrNotTestFrame) {
			t.Errorf("% x: %v", other, err)
		}
	}
}

// TestTestFrameBytes pins the format down.
func TestTestFrameBytes(t *testing.T) {
	t.Parallel()
	want := "02000000000b 02000000000a 88b5 0000000000000102 00000020 b9c0c7ced5dc"
	if got := fmt.Sprintf("%x", testFrame(macB, macA, 32, 0x102)); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
