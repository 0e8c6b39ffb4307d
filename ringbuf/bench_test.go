// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ringbuf_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/go-vde/sdk/ringbuf"
)

// One operation is one element, a pointer, in all of these.

// BenchmarkAlone pushes and pops in one goroutine: the cost of the code itself.
func BenchmarkAlone(b *testing.B) {
	for _, batch := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			q := ringbuf.NewSPSC[*int](1024)
			vs, dst := make([]*int, batch), make([]*int, batch)
			b.ReportAllocs()
			for n := 0; n < b.N; n += batch {
				q.Push(vs...)
				q.Pop(dst)
			}
		})
	}
}

// BenchmarkPass hands elements from one goroutine to another. A goroutine that
// finds the queue full, or empty, yields; impl=channel, which waits instead, is the
// baseline, element by element as it must.
func BenchmarkPass(b *testing.B) {
	const depth = 1024
	b.Run("impl=channel", func(b *testing.B) {
		ch := make(chan *int, depth)
		var consumer sync.WaitGroup
		consumer.Go(func() {
			for range ch {
			}
		})
		v := new(int)
		b.ReportAllocs()
		for b.Loop() {
			ch <- v
		}
		close(ch)
		consumer.Wait()
	})
	for _, batch := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("impl=SPSC/batch=%d", batch), func(b *testing.B) {
			q := ringbuf.NewSPSC[*int](depth)
			total := (b.N + batch - 1) / batch * batch
			var consumer sync.WaitGroup
			consumer.Go(func() {
				dst := make([]*int, batch)
				for n := 0; n < total; {
					k := q.Pop(dst)
					if k == 0 {
						runtime.Gosched()
					}
					n += k
				}
			})
			vs := make([]*int, batch)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < total; n += batch {
				for rest := vs; len(rest) > 0; {
					k := q.Push(rest...)
					if k == 0 {
						runtime.Gosched()
					}
					rest = rest[k:]
				}
			}
			consumer.Wait()
		})
	}
}
