// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import "testing"

// TestReceivedFrameMemory checks that no frame that is delivered holds a buffer of more
// than twice its size.
func TestReceivedFrameMemory(t *testing.T) {
	t.Parallel()
	for _, mtu := range []uint32{1500, 9000, MaxMTU} {
		e := new(Endpoint)
		e.SetMTU(mtu)
		rx := &receiver{e: e, r: new(run), want: 1}
		d := &delivery{e: e, r: rx.r, procs: []processor{{ch: make(chan []rxFrame, 1)}}}
		frameSize := int(mtu) + 14
		for _, size := range []int{64, 256, 257, 300, 600, frameSize / 4, frameSize / 2, frameSize/2 + 1, frameSize * 3 / 4, frameSize} {
			rx.fill()
			f := rx.bufs[0][:size]
			clear(f)
			f[0] = 1 // a group
			rx.bufs[0] = f
			rx.deliver(1, d)
			for _, got := range <-d.procs[0].ch {
				if held := got.view.Capacity(); got.view.Size() != size || held > 2*size {
					t.Errorf("MTU %d: a frame of %d bytes holds %d", mtu, size, held)
				}
				got.view.Release()
			}
		}
		rx.shrink(0)
	}
}
