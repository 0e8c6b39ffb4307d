// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package pool_test

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/go-vde/sdk/pool"
)

const (
	batches   = 300
	mostBatch = 40
)

// produce takes batches of buffers, marks them and sends most of them to work, some
// with several references. The others stay for the next batch.
func produce(p *pool.Pool, work chan<- *pool.Buffer, rng *rand.Rand) {
	bs := make([]*pool.Buffer, mostBatch)
	for i := range batches {
		batch := bs[:1+rng.IntN(mostBatch)]
		if i%4 == 0 {
			batch = bs[:1]
			if batch[0] == nil {
				batch[0] = p.Get()
			}
		}
		p.GetBatch(batch)
		for j, w := range pool.Windows(make([][]byte, mostBatch), batch) {
			if rng.IntN(4) == 0 {
				continue // stays for the next GetBatch
			}
			mark(w, rng.Uint64())
			b := batch[j]
			batch[j] = nil
			for range rng.IntN(3) {
				work <- b.Retain()
			}
			work <- b
		}
	}
	pool.ReleaseBatch(bs)
}

// consume checks the marks of buffers and releases them some time later.
func consume(t *testing.T, work <-chan *pool.Buffer) {
	var held []*pool.Buffer
	for b := range work {
		if !marked(b.Bytes()) {
			t.Error("a held buffer was written to")
		}
		if held = append(held, b); len(held) < 8 {
			continue
		}
		held[0].Release()
		pool.ReleaseBatch(held[1:])
		held = held[:0]
	}
	pool.ReleaseBatch(held)
}

// watchStats checks the counters until stop is closed.
func watchStats(t *testing.T, p *pool.Pool, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			if s := p.Stats(); s.Live < 0 || s.Live != int64(s.Gets-s.Releases) {
				t.Errorf("while running: %+v", s)
				return
			}
		}
	}
}

// TestConcurrentUse sends marked buffers through several goroutines, some of them
// shared, and checks that nobody else writes to a buffer while it is held. The
// race detector checks that a Release happens before the next Get.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const producers, consumers = 3, 3
	// 64 buffers are kept, so the overflow takes part.
	p := pool.New(80<<10, 16)
	work := make(chan *pool.Buffer, 128)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	var producing, consuming, watching sync.WaitGroup
	for id := range producers {
		producing.Go(func() { produce(p, work, rand.New(rand.NewPCG(seed, uint64(id)))) })
	}
	for range consumers {
		consuming.Go(func() { consume(t, work) })
	}
	stop := make(chan struct{})
	watching.Go(func() { watchStats(t, p, stop) })
	producing.Wait()
	close(work)
	consuming.Wait()
	close(stop)
	watching.Wait()
	checkLive(t, p, 0)
}

// mark writes v to both ends of w.
func mark(w []byte, v uint64) {
	binary.NativeEndian.PutUint64(w, v)
	binary.NativeEndian.PutUint64(w[len(w)-8:], ^v)
}

func marked(w []byte) bool {
	return binary.NativeEndian.Uint64(w) == ^binary.NativeEndian.Uint64(w[len(w)-8:])
}
