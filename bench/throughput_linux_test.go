// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"testing"

	"github.com/go-vde/sdk/bench/internal/peer"
)

// loads are the frame sizes measured: the shortest Ethernet frame as networks
// count it, a small one, the longest of a network with MTU 1500 and 9000, about
// the longest that fits a datagram, and a mixture.
var loads = []string{"64", "512", "1514", "9014", "65000", "imix"}

// BenchmarkDirect is the ladder: the same frames from A to B over more and more
// that lies between them, up to vde.Conn, and a port of a switch in the process
// beside it.
func BenchmarkDirect(b *testing.B) { compare(b, withoutSwitch) }

// BenchmarkSwitch is the same through a switch, ours and those of others.
func BenchmarkSwitch(b *testing.B) { compare(b, switches) }

// first returns the first n of all with -short, which is for trying the benchmarks out.
func first[T any](n int, all []T) []T {
	if testing.Short() {
		return all[:n]
	}
	return all
}

func compare(b *testing.B, contenders []contender) {
	for _, name := range first(1, loads) {
		b.Run("size="+name, func(b *testing.B) {
			l := newLoad(b, name)
			run := func(s subject, b *testing.B) { s.bench(b, l) }
			if contenders[0].name == withoutSwitch[0].name {
				leaf(b, "path=copy", func(testing.TB) subject {
					return subject{lane: copying{peer.NewLoad(l.sizes, batch, peer.B, peer.A)}, local: true}
				}, run)
			}
			for _, c := range inOrder(contenders) {
				if l.max() > c.limit {
					continue
				}
				leaf(b, "path="+c.name, func(t testing.TB) subject { return c.subject(t, l) }, run)
			}
		})
	}
}
