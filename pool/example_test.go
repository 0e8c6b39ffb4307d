// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package pool_test

import (
	"fmt"

	"github.com/go-vde/sdk/pool"
)

func Example() {
	p := pool.New(1500, 18) // headroom for a tagged Ethernet header

	b := p.Get()
	b.SetLen(copy(b.Bytes(), "payload"))
	copy(b.Prepend(7), "header ")
	fmt.Printf("%s, %d bytes of headroom left\n", b.Bytes(), b.Headroom())

	b.TrimFront(7)
	fmt.Printf("%s\n", b.Bytes())

	b.Release()
	fmt.Println(p.Stats().Live, "buffers live")
	// Output:
	// header payload, 11 bytes of headroom left
	// payload
	// 0 buffers live
}

// Two holders of one buffer: each releases, the second Release returns it.
func ExampleBuffer_Retain() {
	p := pool.New(1500, 0)
	b := p.Get()
	done := make(chan struct{})

	go func(b *pool.Buffer) { // takes the reference
		defer close(done)
		defer b.Release()
		fmt.Println(len(b.Bytes()))
	}(b.Retain())

	<-done
	fmt.Println(p.Stats().Live)
	b.Release()
	fmt.Println(p.Stats().Live)
	// Output:
	// 1500
	// 1
	// 0
}

// readBatch stands for the ReadBatch method of a connection.
func readBatch(bufs [][]byte) int {
	for i, s := range []string{"one", "two"} {
		bufs[i] = bufs[i][:copy(bufs[i], s)]
	}
	return 2
}

// A reader keeps one batch of buffers: it passes on those that were filled and
// asks for as many again.
func ExampleWindows() {
	p := pool.New(1500, 0)
	bs := make([]*pool.Buffer, 32)
	windows := make([][]byte, 32)

	for range 2 {
		p.GetBatch(bs) // replaces the elements that were passed on
		windows = pool.Windows(windows, bs)
		n := readBatch(windows)
		for i, b := range bs[:n] {
			b.SetLen(len(windows[i]))
			fmt.Printf("%s ", b.Bytes())
			b.Release() // or pass it on
			bs[i] = nil
		}
	}
	fmt.Println("and", p.Stats().Live, "buffers waiting")

	pool.ReleaseBatch(bs)
	fmt.Println(p.Stats().Live, "buffers live")
	// Output:
	// one two one two and 30 buffers waiting
	// 0 buffers live
}
