// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"fmt"
	"testing"

	"github.com/go-vde/sdk/link"
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
					n, _, err := client.Send(link.Tx{Frames: batch[:min(left, len(batch))]})
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
				n, err := sw.Recv(s.rx(maxBatch))
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

// BenchmarkExchange asks one question after the other and waits for each answer.
func BenchmarkExchange(b *testing.B) {
	client, sw := newPair(b, 1514)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := newSlab(1514)
		for {
			if _, err := sw.Recv(s.rx(maxBatch)); err != nil {
				return
			}
			if _, _, err := sw.Send(short); err != nil {
				return
			}
		}
	}()
	s := newSlab(1514)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := client.Send(short); err != nil {
			b.Fatal(err)
		}
		if _, err := client.Recv(s.rx(maxBatch)); err != nil {
			b.Fatal(err)
		}
	}
	sw.Close()
	<-done
}
