// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"fmt"
	"testing"
)

// BenchmarkRing sends batches from one goroutine to another.
func BenchmarkRing(b *testing.B) {
	for _, size := range []int{64, 1514, 65526} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			client, sw := newPair(b, size)
			batch := make([][]byte, maxBatch)
			for i := range batch {
				batch[i] = make([]byte, size)
			}
			go func() {
				for left := b.N; left > 0; {
					n, _, err := client.Send(batch[:min(left, len(batch))], true)
					if err != nil {
						return
					}
					left -= n
				}
			}()
			s := newSlab(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			calls := 0
			for got := 0; got < b.N; calls++ {
				n, err := sw.Recv(s, maxBatch, true)
				if err != nil {
					b.Fatal(err)
				}
				got += n
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
			b.ReportMetric(float64(b.N)/float64(calls), "frames/call")
		})
	}
}
