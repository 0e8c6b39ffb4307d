// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

const benchBatch = 64

// attachMany attaches n stations to ports 1 to n, each known on its port.
func attachMany(tb testing.TB, sw *vswitch.Switch, n int) []*vde.Conn {
	conns := make([]*vde.Conn, n)
	for i := range conns {
		c, err := sw.Attach(vde.WithPort(i + 1))
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	return conns
}

// BenchmarkInProcess moves frames from one in-process port to another: read=copy
// is ReadBatch, read=reference is Frames. It counts frames received; the ports
// wait, so none is lost.
func BenchmarkInProcess(b *testing.B) {
	for _, ports := range []int{2, 16, 128, 1000} {
		for _, size := range []int{64, 1514} {
			for _, read := range []string{"copy", "reference"} {
				b.Run(fmt.Sprintf("ports=%d/size=%d/read=%s", ports, size, read), func(b *testing.B) {
					sw := vswitch.New(waiting())
					b.Cleanup(func() { sw.Close() })
					conns := attachMany(b, sw, ports)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					b.ResetTimer()
					elapsed := movePair(b, conns[0], conns[1], size, read, b.N)
					b.StopTimer()
					b.ReportMetric(float64(b.N)/elapsed.Seconds()/1e6, "Mframes/s")
				})
			}
		}
	}
}

// movePair sends count frames from a to c in batches and returns how long it
// took until all had been received.
func movePair(b *testing.B, a, c *vde.Conn, size int, read string, count int) time.Duration {
	batch := make([][]byte, benchBatch)
	for i := range batch {
		batch[i] = make([]byte, size)
		frame.PutHeader(batch[i], macB, macA, 0x88b5)
	}
	done := make(chan error, 1)
	start := time.Now()
	go func() {
		got := 0
		switch read {
		case "copy":
			slab := make([]byte, benchBatch*2048)
			bufs := make([][]byte, benchBatch)
			for got < count {
				for i := range bufs {
					bufs[i] = slab[i*2048:][:2048]
				}
				n, err := c.ReadBatch(bufs)
				if err != nil {
					done <- err
					return
				}
				got += n
			}
		case "reference":
			for f := range c.Frames() {
				f.Release()
				if got++; got == count {
					break
				}
			}
		}
		done <- nil
	}()
	for sent := 0; sent < count; {
		n, err := a.WriteBatch(batch[:min(benchBatch, count-sent)])
		if err != nil {
			b.Fatal(err)
		}
		sent += n
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
