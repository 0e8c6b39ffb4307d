// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ringbuf_test

import (
	"fmt"
	"sync"

	"github.com/go-vde/sdk/ringbuf"
)

func ExampleSPSC() {
	q := ringbuf.NewSPSC[string](3)
	fmt.Println("capacity", q.Cap())

	frames := []string{"a", "b", "c", "d", "e"}
	n := q.Push(frames...)
	fmt.Println("pushed", n, "left", frames[n:])

	dst := make([]string, 3)
	n = q.Pop(dst)
	fmt.Println("popped", dst[:n], "queued", q.Len())
	// Output:
	// capacity 4
	// pushed 4 left [e]
	// popped [a b c] queued 1
}

// A one-slot channel wakes a consumer that found the queue empty. The producers
// take turns under a mutex; the consumer needs none.
func ExampleSPSC_wakeup() {
	var (
		q    = ringbuf.NewSPSC[int](64)
		wake = make(chan struct{}, 1)
		mu   sync.Mutex // guards the producer's side of q
	)
	send := func(vs ...int) {
		mu.Lock()
		defer mu.Unlock()
		q.Push(vs...) // six elements in all: there is room
		select {
		case wake <- struct{}{}:
		default: // one is on its way
		}
	}

	var producers sync.WaitGroup
	for i := range 3 {
		producers.Go(func() { send(i, 10*i) })
	}

	sum, dst := 0, make([]int, 4)
	for received := 0; received < 6; {
		<-wake
		for n := q.Pop(dst); n > 0; n = q.Pop(dst) {
			received += n
			for _, v := range dst[:n] {
				sum += v
			}
		}
	}
	producers.Wait()
	fmt.Println(sum)
	// Output: 33
}
