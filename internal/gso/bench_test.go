// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso_test

import (
	"testing"

	"github.com/go-vde/sdk/internal/gso"
)

// BenchmarkSegment cuts 64 KiB into the segments of an MTU of 1500.
func BenchmarkSegment(b *testing.B) {
	o, f := longSegment(b)
	dst := make([]byte, 1514)
	var s gso.Segmenter
	frames := 0
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	for b.Loop() {
		s.Reset(o, f)
		for _, ok := s.Next(dst); ok; _, ok = s.Next(dst) {
			frames++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(frames), "ns/frame")
}

// BenchmarkSum compares with the sum word by word.
func BenchmarkSum(b *testing.B) {
	p := make([]byte, 1460)
	for _, k := range []struct {
		name string
		sum  func([]byte) uint16
	}{{"fast", gso.Sum}, {"naive", func(p []byte) uint16 { return slowSum(p) }}} {
		b.Run("sum="+k.name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				k.sum(p)
			}
		})
	}
}
