// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"testing"
)

// TestReceiverMemory checks that the number of receive buffers follows the traffic.
func TestReceiverMemory(t *testing.T) {
	t.Parallel()
	e := new(Endpoint)
	e.SetMTU(9000)
	rx := &receiver{e: e, r: new(run), want: rxIdleBatch}
	d := &delivery{e: e, r: rx.r}
	small := bytes.Repeat([]byte{2}, 60) // for another address: filtered
	batch := func(n int) {
		rx.fill()
		n = min(n, rx.held)
		for i := range n {
			rx.bufs[i] = rx.bufs[i][:copy(rx.bufs[i], small)]
		}
		rx.deliver(n, d)
	}
	rx.fill()
	if rx.held != rxIdleBatch {
		t.Errorf("holds %d buffers before a frame arrived", rx.held)
	}
	for range 10 {
		batch(rxBatch)
	}
	if rx.fill(); rx.held != rxBatch {
		t.Errorf("holds %d buffers in full traffic", rx.held)
	}
	for range 10 {
		batch(1)
	}
	if rx.held > rxIdleBatch+1 {
		t.Errorf("holds %d buffers when frames arrive one by one", rx.held)
	}
	for range 10 {
		batch(rxBatch)
	}
	rx.idle()
	if rx.fill(); rx.held != rxIdleBatch {
		t.Errorf("holds %d buffers when idle", rx.held)
	}
	rx.shrink(0)
}
