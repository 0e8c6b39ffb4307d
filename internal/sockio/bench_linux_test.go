// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio_test

import (
	"fmt"
	"testing"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// BenchmarkTransports moves frames through a pair of datagram sockets and through a
// stream, in batches of 32. An operation is one frame that was received.
func BenchmarkTransports(b *testing.B) {
	for _, kind := range []struct {
		name string
		pair func(testing.TB) (a, b transport.Transport)
	}{
		{"sockets", func(t testing.TB) (a, b transport.Transport) { return pair(t) }},
		{"streams", func(t testing.TB) (a, b transport.Transport) { return streams(t, 0, false) }},
	} {
		for _, size := range []int{64, 1514, 9014, 65000} {
			b.Run(fmt.Sprintf("%s/size=%d", kind.name, size), func(b *testing.B) {
				from, to := kind.pair(b)
				move(b, from, to, size)
			})
		}
	}
}

// move moves b.N frames of size bytes.
func move(b *testing.B, from, to transport.Transport, size int) {
	const batch = 32
	frames, bufs, sizes := buffers(batch, size), buffers(batch, size), make([]int, batch)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	sent := make(chan error, 1)
	go func() {
		for left := b.N; left > 0; {
			n, _, err := from.Send(link.Tx{Frames: frames[:min(left, batch)]})
			if err != nil {
				sent <- err
				return
			}
			left -= n
		}
		sent <- nil
	}()
	for got := 0; got < b.N; {
		n, err := to.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
		if err != nil {
			b.Fatal(err)
		}
		got += n
	}
	if err := <-sent; err != nil {
		b.Fatal(err)
	}
}
