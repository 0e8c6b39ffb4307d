// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ringbuf_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/go-vde/sdk/ringbuf"
)

// An item is what these tests send: not atomic, so that the race detector sees
// a consumer that reads it before the producer has published it, and changed
// by the consumer, so that it sees the opposite.
type item struct {
	producer int
	seq      int
	sum      uint64
	taken    bool
}

func (it *item) hash() uint64 { return uint64(it.producer)<<32 ^ uint64(it.seq)*0x9e3779b97f4a7c15 }

// consume pops n items in batches of random size, and checks their content and
// that each producer's items come in order.
func consume(t *testing.T, q *ringbuf.SPSC[*item], n int, rng *rand.Rand) {
	next := map[int]int{}
	dst := make([]*item, 48)
	for got := 0; got < n; {
		k := q.Pop(dst[:1+rng.IntN(len(dst))])
		if k == 0 {
			runtime.Gosched()
			continue
		}
		if l := q.Len(); l < 0 || l > q.Cap() {
			t.Errorf("length %d", l)
		}
		for _, it := range dst[:k] {
			if it == nil || it.taken || it.seq != next[it.producer] || it.sum != it.hash() {
				t.Errorf("after %d items: %+v, want number %d", got, it, next[it.producer])
				return
			}
			it.taken = true
			next[it.producer]++
		}
		got += k
	}
	if k := q.Pop(dst); k != 0 {
		t.Errorf("%d items too many", k)
	}
}

// produce pushes n items in batches of random size through push.
func produce(id, n int, rng *rand.Rand, push func(...*item) int) {
	batch := make([]*item, 0, 48)
	for seq := 0; seq < n || len(batch) > 0; {
		for k := rng.IntN(cap(batch)); seq < n && len(batch) <= k; seq++ {
			it := &item{producer: id, seq: seq}
			it.sum = it.hash()
			batch = append(batch, it)
		}
		k := push(batch...)
		if k == 0 {
			runtime.Gosched()
		}
		batch = append(batch[:0], batch[k:]...)
	}
}

// TestConcurrentPushAndPop has one producer and one consumer.
func TestConcurrentPushAndPop(t *testing.T) {
	t.Parallel()
	const n = 50_000
	for _, capacity := range []int{1, 2, 64, 1024} {
		seed := rand.Uint64()
		t.Logf("capacity %d, seed %d", capacity, seed)
		q := ringbuf.NewSPSC[*item](capacity)
		ringbuf.Start(q, math.MaxUint64-n/2) // the indices wrap around on the way
		var producer sync.WaitGroup
		producer.Go(func() { produce(0, n, rand.New(rand.NewPCG(seed, 0)), q.Push) })
		consume(t, q, n, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			return // the producer may be stuck
		}
		producer.Wait()
	}
}

// TestProducersWithMutex has several producers that take turns under a mutex, which
// the consumer does not know of.
func TestProducersWithMutex(t *testing.T) {
	t.Parallel()
	const (
		n         = 20_000
		producers = 4
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	q := ringbuf.NewSPSC[*item](64)
	var (
		mu      sync.Mutex
		working sync.WaitGroup
	)
	for id := range producers {
		working.Go(func() {
			produce(id, n, rand.New(rand.NewPCG(seed, uint64(id))), func(vs ...*item) int {
				mu.Lock()
				defer mu.Unlock()
				return q.Push(vs...)
			})
		})
	}
	consume(t, q, producers*n, rand.New(rand.NewPCG(seed, producers)))
	if t.Failed() {
		return // the producers may be stuck
	}
	working.Wait()
}
