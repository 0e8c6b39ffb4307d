// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package vxlan_test

import (
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// TestNoAllocations sends batches to learned addresses and receives them without
// allocating.
func TestNoAllocations(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	la, lb := open(t, a, "vxlan://"+testpeers.VethB4), open(t, b, "vxlan://"+testpeers.VethA4)
	other := open(t, b, "vxlan://"+testpeers.VethA4+"/vni=2") // which shares the port
	tx := link.Tx{Frames: make([][]byte, 64)}
	rx := link.Rx{Bufs: make([][]byte, 64), Sizes: make([]int, 64)}
	for i := range rx.Bufs {
		src := macA
		src[4] = byte(i % 3)
		tx.Frames[i], rx.Bufs[i] = testFrame(macB, src, i, 60+i%2), make([]byte, 1514)
	}
	send(t, lb, testFrame(macA, macB, 1, 60))
	recv(t, la)
	n := testing.AllocsPerRun(100, func() {
		if n, _, err := la.Send(tx); n != 64 || err != nil {
			t.Fatal(n, err)
		}
		for came := 0; came < 64; {
			n, err := lb.Recv(rx)
			if err != nil {
				t.Fatal(err)
			}
			came += n
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for 64 frames", n)
	}
	if c := other.Caps().Counters(); c != (link.Counters{}) {
		t.Errorf("%+v", c)
	}
}
