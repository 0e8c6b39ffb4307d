// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"fmt"
	"testing"

	"github.com/go-vde/sdk/frame"
)

// BenchmarkRead is what a switch does with each frame: check it, look at both
// addresses, the tag and the type.
func BenchmarkRead(b *testing.B) {
	// The last is the worst a peer can send; see the sharp edges in doc.go.
	for _, c := range []struct {
		name string
		tags int
	}{{"0", 0}, {"1", 1}, {"2", 2}, {"max", (frame.DefaultMaxSize - frame.HeaderLen) / frame.TagLen}} {
		b.Run(fmt.Sprintf("tags=%s", c.name), func(b *testing.B) {
			buf := tagsOnly(frame.HeaderLen+c.tags*frame.TagLen, true)
			sum := 0
			b.ReportAllocs()
			for b.Loop() {
				f, err := frame.Parse(buf)
				if err != nil {
					b.Fatal(err)
				}
				tag, _ := f.Tag()
				dst, src := f.Dst(), f.Src()
				sum += int(f.EtherType()) + int(tag.ID()) + int(dst[5]) + int(src[5])
			}
			if sum == 0 {
				b.Fatal("nothing read")
			}
		})
	}
}

func BenchmarkPutHeader(b *testing.B) {
	buf := make([]byte, frame.MinLen)
	src := frame.MAC{2, 0, 0, 0, 0, 1}
	b.ReportAllocs()
	for b.Loop() {
		frame.PutHeader(buf, frame.Broadcast(), src, frame.EtherTypeIPv4)
	}
}

func BenchmarkParseMAC(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := frame.ParseMAC("00:00:5e:00:53:01"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMACAppendTo(b *testing.B) {
	m := frame.MAC{0, 0, 0x5e, 0, 0x53, 1}
	buf := make([]byte, 0, 17)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.AppendTo(buf[:0])
	}
}
