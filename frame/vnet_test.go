// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/go-vde/sdk/frame"
)

func TestOffload(t *testing.T) {
	for _, test := range []struct {
		name  string
		off   frame.VNetHeader
		bytes []byte
	}{
		{"nothing", frame.VNetHeader{}, make([]byte, frame.VNetHeaderLen)},
		{
			"TCP over IPv4, 1448 a segment",
			frame.VNetHeader{
				Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4,
				HdrLen: 66, GSOSize: 1448, CsumStart: 34, CsumOffset: 16,
			},
			[]byte{1, 1, 66, 0, 0xa8, 5, 34, 0, 16, 0},
		},
		{
			"every bit",
			frame.VNetHeader{Flags: 0xff, GSOType: 0xfe, HdrLen: 0x0102, GSOSize: 0x0304, CsumStart: 0x0506, CsumOffset: 0x0708},
			[]byte{0xff, 0xfe, 2, 1, 4, 3, 6, 5, 8, 7},
		},
	} {
		b := make([]byte, frame.VNetHeaderLen)
		test.off.Put(b)
		if !bytes.Equal(b, test.bytes) {
			t.Errorf("%s: put % x, want % x", test.name, b, test.bytes)
		}
		got, err := frame.ParseVNetHeader(append(test.bytes, "frame"...))
		if err != nil || got != test.off {
			t.Errorf("%s: parsed %+v, %v; want %+v", test.name, got, err, test.off)
		}
	}
	if _, err := frame.ParseVNetHeader(make([]byte, frame.VNetHeaderLen-1)); !errors.Is(err, frame.ErrShort) {
		t.Errorf("a cut header: %v", err)
	}
}
