// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/vde"
)

// BenchmarkWatchCPU measures the processor time that ten clients take which watch counters
// and events of a thousand ports, each of which has something new ten times a second: with
// them less without them, in turn, in percent of one processor. Unlike figures of speed this
// one holds on a busy machine.
func BenchmarkWatchCPU(b *testing.B) {
	for _, json := range []bool{false, true} {
		b.Run(fmt.Sprintf("ports=1000/clients=10/json=%v", json), func(b *testing.B) {
			conns, socket := benchSwitch(b, 1000)
			used := func() time.Duration {
				var u unix.Rusage
				if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
					b.Fatal(err)
				}
				return time.Duration(u.Utime.Nano() + u.Stime.Nano())
			}
			// live lets time pass, in which all ports get a frame now and then, and returns the
			// processor time that it took, in percent.
			live := func() float64 {
				before := used()
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				for ticker := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; <-ticker.C {
					floodOnce(b, conns[0])
				}
				return 100 * float64(used()-before) / float64(3*time.Second)
			}
			var alone, watched []float64
			for b.Loop() {
				alone = append(alone, live())
				stop := watchRaw(b, socket, 10, json)
				watched = append(watched, live())
				stop()
			}
			b.ReportMetric(median(alone), "%cpu-alone")
			b.ReportMetric(median(watched)-median(alone), "%cpu-watching")
		})
	}
}

func floodOnce(b *testing.B, c *vde.Conn) {
	b.Helper()
	if _, err := c.Write(flooded(1)); err != nil {
		b.Fatal(err)
	}
}
