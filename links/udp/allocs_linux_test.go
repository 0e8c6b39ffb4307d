// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package udp_test

import (
	"net"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// TestNoAllocations sends and receives batches without allocating.
func TestNoAllocations(t *testing.T) {
	a, b := pair(t, host)
	tx := link.Tx{Frames: make([][]byte, 64), Headers: make([]frame.VNetHeader, 64)}
	pieces := link.Tx{Pieces: make([]net.Buffers, 64)}
	rx := link.Rx{Bufs: make([][]byte, 64), Sizes: make([]int, 64)}
	for i := range rx.Bufs {
		tx.Frames[i], rx.Bufs[i] = make([]byte, 60+i%2), make([]byte, 1514)
		pieces.Pieces[i] = net.Buffers{tx.Frames[i][:14], tx.Frames[i][14:]}
	}
	for name, tx := range map[string]link.Tx{"frames": tx, "pieces": pieces} {
		for _, tx.NoWait = range []bool{false, true} {
			n := testing.AllocsPerRun(100, func() {
				if n, _, err := a.Send(tx); n != 64 || err != nil {
					t.Fatal(n, err)
				}
				for came := 0; came < 64; {
					n, err := b.Recv(rx)
					if err != nil {
						t.Fatal(err)
					}
					came += n
				}
			})
			if n != 0 {
				t.Errorf("%s, NoWait %v: %v allocations for 64 frames", name, tx.NoWait, n)
			}
		}
	}
}
