// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"net"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// BenchmarkOffload moves TCP payload in superframes of 60 KB, MTU 1500, from one
// in-process port to another: to=agreed takes them as they are, to=ordinary as
// what they are cut into. send=ordinary is the baseline, a sender that makes
// frames of 1514 bytes itself, the cost of which is not in it. Payload received
// counts.
func BenchmarkOffload(b *testing.B) {
	const size, mss = 60_000, 1460
	for _, test := range []struct {
		name       string
		send, recv bool
	}{{"send=super/to=agreed", true, true}, {"send=super/to=ordinary", true, false}, {"send=ordinary/to=ordinary", false, false}} {
		b.Run(test.name, func(b *testing.B) {
			sw := vswitch.New(waiting())
			b.Cleanup(func() { sw.Close() })
			conns := attachMany(b, sw, 2)
			write(b, conns[1], testFrame(macA, macB, 60, 1)) // B is known now
			super := segment(macB, macA, false, 1, payload(size), mss)
			batch := ordinary(super)
			send := func() (int, error) { return conns[0].WriteBatch(batch) }
			if test.send {
				packets, headers := []net.Buffers{{super.data}}, []frame.VNetHeader{super.header}
				send = func() (int, error) { return conns[0].WritePackets(packets, headers) }
			}
			if test.recv {
				packetsOn(b, sw, conns[1])
			}
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			done := make(chan error, 1)
			go func() { done <- readPayload(conns[1], test.recv, size*b.N) }()
			for range b.N {
				if _, err := send(); err != nil {
					b.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(8*size*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "Gbit/s")
		})
	}
}

// readPayload reads frames, as packets or not, until it has total bytes of what
// follows the headers.
func readPayload(c *vde.Conn, packets bool, total int) error {
	const header = 54
	slab, bufs := make([]byte, benchBatch<<16), make([][]byte, benchBatch)
	headers := make([]frame.VNetHeader, benchBatch)
	for total > 0 {
		for i := range bufs {
			bufs[i] = slab[i<<16:][:1<<16]
		}
		n, err := 0, error(nil)
		if packets {
			n, err = c.ReadPackets(bufs, headers)
		} else {
			n, err = c.ReadBatch(bufs)
		}
		if err != nil {
			return err
		}
		for _, f := range bufs[:n] {
			total -= len(f) - header
		}
	}
	return nil
}
