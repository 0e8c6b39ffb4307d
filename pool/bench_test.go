// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package pool_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/pool"
)

const (
	benchSize = 2048
	batchLen  = 32
)

// An allocator is what the benchmarks compare: this package against a bare
// sync.Pool of the same objects, counted in the same way.
type allocator[B any] struct {
	get          func() B
	getBatch     func([]B)
	release      func(B)
	releaseBatch func([]B)
}

func newPool() allocator[*pool.Buffer] {
	p := pool.New(benchSize, 0)
	return allocator[*pool.Buffer]{
		get:          p.Get,
		getBatch:     p.GetBatch,
		release:      (*pool.Buffer).Release,
		releaseBatch: pool.ReleaseBatch,
	}
}

type plainBuffer struct {
	refs atomic.Int32
	mem  []byte
	_    [32]byte // as large as a Buffer
}

func newSyncPool() allocator[*plainBuffer] {
	p := sync.Pool{New: func() any { return &plainBuffer{mem: make([]byte, benchSize)} }}
	get := func() *plainBuffer {
		b := p.Get().(*plainBuffer)
		b.refs.Store(1)
		return b
	}
	release := func(b *plainBuffer) {
		if b.refs.Add(-1) == 0 {
			p.Put(b)
		}
	}
	return allocator[*plainBuffer]{
		get: get,
		getBatch: func(bs []*plainBuffer) {
			for i := range bs {
				bs[i] = get()
			}
		},
		release: release,
		releaseBatch: func(bs []*plainBuffer) {
			for i, b := range bs {
				release(b)
				bs[i] = nil
			}
		},
	}
}

// One operation is one buffer in all of these.

func BenchmarkGetRelease(b *testing.B) {
	b.Run("impl=pool", func(b *testing.B) { benchGetRelease(b, newPool()) })
	b.Run("impl=sync.Pool", func(b *testing.B) { benchGetRelease(b, newSyncPool()) })
}

func benchGetRelease[B any](b *testing.B, a allocator[B]) {
	b.ReportAllocs()
	for b.Loop() {
		a.release(a.get())
	}
}

func BenchmarkBatch(b *testing.B) {
	b.Run("impl=pool", func(b *testing.B) { benchBatch(b, newPool()) })
	b.Run("impl=sync.Pool", func(b *testing.B) { benchBatch(b, newSyncPool()) })
}

func benchBatch[B any](b *testing.B, a allocator[B]) {
	bs := make([]B, batchLen)
	b.ReportAllocs()
	for n := 0; n < b.N; n += batchLen {
		a.getBatch(bs)
		a.releaseBatch(bs)
	}
}

// BenchmarkParallel takes and returns batches on every processor at once, the
// most contention a pool can see.
func BenchmarkParallel(b *testing.B) {
	b.Run("impl=pool", func(b *testing.B) { benchParallel(b, newPool()) })
	b.Run("impl=sync.Pool", func(b *testing.B) { benchParallel(b, newSyncPool()) })
}

func benchParallel[B any](b *testing.B, a allocator[B]) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		bs := make([]B, batchLen)
		for more := true; more; {
			n := 0
			for n < batchLen && pb.Next() {
				n++
			}
			more = n == batchLen
			a.getBatch(bs[:n])
			a.releaseBatch(bs[:n])
		}
	})
}

// BenchmarkCross takes batches in one goroutine and releases them in another,
// as a reader and the consumer of its frames do. The channel carries whole
// batches, so it costs little; impl=none is what is left without a pool.
func BenchmarkCross(b *testing.B) {
	for _, c := range []struct {
		name  string
		batch bool
	}{{"release=single", false}, {"release=batch", true}} {
		b.Run(c.name, func(b *testing.B) {
			b.Run("impl=pool", func(b *testing.B) { benchCross(b, newPool(), c.batch) })
			b.Run("impl=sync.Pool", func(b *testing.B) { benchCross(b, newSyncPool(), c.batch) })
			b.Run("impl=none", func(b *testing.B) {
				benchCross(b, allocator[*plainBuffer]{
					getBatch:     func([]*plainBuffer) {},
					release:      func(*plainBuffer) {},
					releaseBatch: func([]*plainBuffer) {},
				}, c.batch)
			})
		})
	}
}

func benchCross[B any](b *testing.B, a allocator[B], batch bool) {
	const depth = 16 // batches under way
	full, empty := make(chan []B, depth), make(chan []B, depth)
	for range depth {
		empty <- make([]B, batchLen)
	}
	var consumer sync.WaitGroup
	consumer.Go(func() {
		for bs := range full {
			if batch {
				a.releaseBatch(bs)
			} else {
				for _, x := range bs {
					a.release(x)
				}
				clear(bs)
			}
			empty <- bs
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batchLen {
		bs := <-empty
		a.getBatch(bs)
		full <- bs
	}
	close(full)
	consumer.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mbuffers/s")
}

// BenchmarkAlloc is a Get that finds no free buffer.
func BenchmarkAlloc(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		pool.New(benchSize, 0).Get()
	}
}
