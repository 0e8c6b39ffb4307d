// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// controlMessage returns a control message as the kernel writes it.
func controlMessage(align, level, kind int, data []byte) []byte {
	b := make([]byte, align+8)
	if align == 8 {
		binary.NativeEndian.PutUint64(b, uint64(len(b)+len(data)))
	} else {
		binary.NativeEndian.PutUint32(b, uint32(len(b)+len(data)))
	}
	binary.NativeEndian.PutUint32(b[align:], uint32(level))
	binary.NativeEndian.PutUint32(b[align+4:], uint32(kind))
	b = append(b, data...)
	return append(b, make([]byte, -len(b)&(align-1))...)
}

func TestSegmentSize(t *testing.T) {
	size := binary.NativeEndian.AppendUint32(nil, 1458)
	negative := binary.NativeEndian.AppendUint32(nil, 1<<31)
	for _, align := range []int{4, 8} {
		gro := controlMessage(align, solUDP, udpGRO, size)
		other := controlMessage(align, 0, 8, make([]byte, 12))
		for name, c := range map[string]struct {
			control []byte
			want    int
		}{
			"none":     {nil, 0},
			"alone":    {gro, 1458},
			"second":   {append(other[:len(other):len(other)], gro...), 1458},
			"other":    {other, 0},
			"level":    {controlMessage(align, 1, udpGRO, size), 0},
			"short":    {controlMessage(align, solUDP, udpGRO, size[:2]), 0},
			"cut":      {gro[:align+10], 0},
			"negative": {controlMessage(align, solUDP, udpGRO, negative), 0},
			"zeros":    {make([]byte, 48), 0},
		} {
			if got := segmentSize(c.control, align); got != c.want {
				t.Errorf("%s, pointers of %d bytes: %d, want %d", name, align, got, c.want)
			}
		}
	}
}

// FuzzSplit cuts messages whatever the kernel says of them. The oracle: no more
// datagrams than bytes, all of one size but the last, and joined again the message.
func FuzzSplit(f *testing.F) {
	size := binary.NativeEndian.AppendUint32(nil, 3)
	f.Add([]byte("0123456789"), controlMessage(8, solUDP, udpGRO, size), true)
	f.Add([]byte("0123456789"), controlMessage(4, solUDP, udpGRO, size), false)
	f.Add([]byte{}, []byte{}, true)
	f.Fuzz(func(t *testing.T, data, control []byte, wide bool) {
		align := 4
		if wide {
			align = 8
		}
		size := segmentSize(control, align)
		if size < 0 {
			t.Fatalf("a size of %d", size)
		}
		var j joined
		j.set(data, size)
		count := j.count()
		var again []byte
		for n := 0; j.more; n++ {
			d := j.next()
			again = append(again, d...)
			if left := count - n - 1; j.count() != left {
				t.Fatalf("%d datagrams are left, want %d", j.count(), left)
			}
			if size > 0 && size <= len(data) && (len(d) > size || len(d) < size && j.more) {
				t.Fatalf("a datagram of %d bytes, all but the last have %d", len(d), size)
			}
		}
		if !bytes.Equal(again, data) {
			t.Fatal("the datagrams are not the message")
		}
	})
}
