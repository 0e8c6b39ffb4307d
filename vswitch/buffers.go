// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import "github.com/go-vde/sdk/pool"

// Sizes of the buffers that frames wait in. A frame waits in the smallest that
// holds it: with one size for all, a queue of 512 short frames would occupy
// 5 MB, and frames would be spread over memory for no use.
const (
	smallBuffer  = 256
	mediumBuffer = 2048
)

// tagRoom is what a frame can grow by in the switch.
const tagRoom = 4

func (sw *Switch) makePools() {
	sw.pools = [...]*pool.Pool{
		pool.New(smallBuffer, 0),
		pool.New(mediumBuffer, 0),
		pool.New(max(sw.cfg.MaxFrame+tagRoom, mediumBuffer), 0),
	}
}

// poolFor returns the pool of buffers for frames of n bytes.
func (sw *Switch) poolFor(n int) *pool.Pool {
	switch {
	case n <= smallBuffer:
		return sw.pools[0]
	case n <= mediumBuffer:
		return sw.pools[1]
	}
	return sw.pools[2]
}

// live returns the number of buffers in use.
func (sw *Switch) live() (n int64) {
	for _, p := range sw.pools {
		if p != nil {
			n += p.Stats().Live
		}
	}
	return n
}
