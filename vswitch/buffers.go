// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"fmt"
	"slices"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
)

// Sizes of the buffers that frames wait in. A frame waits in the smallest that
// holds it: with one size for all, a queue of 512 short frames would occupy
// 5 MB, and frames would be spread over memory for no use. With the headroom, both
// are sizes that the allocator has.
const (
	smallBuffer  = 256 - headroom
	mediumBuffer = 2048 - headroom
)

// headroom is what all buffers have in front of a frame, for a program that
// receives one in its buffer and prepends to it.
const headroom = 64

// bufferPools are the pools of buffers for frames, by size.
type bufferPools struct {
	maxFrame int // Config.MaxFrameSize
	large    int // what a buffer of pools[2] holds
	pools    [4]*pool.Pool
}

func newBufferPools(maxFrame int) *bufferPools {
	p := &bufferPools{maxFrame: maxFrame, large: max(maxFrame+frame.TagLen, mediumBuffer)}
	p.pools = [...]*pool.Pool{
		pool.New(smallBuffer, headroom),
		pool.New(mediumBuffer, headroom),
		pool.New(p.large, headroom),
		pool.New(max(p.large, frame.MaxGSO+frame.TagLen), headroom), // has no buffers until a frame needs one
	}
	return p
}

// of returns the pool of buffers for frames of n bytes.
func (p *bufferPools) of(n int) *pool.Pool {
	switch {
	case n <= smallBuffer:
		return p.pools[0]
	case n <= mediumBuffer:
		return p.pools[1]
	case n <= p.large:
		return p.pools[2]
	}
	return p.pools[3]
}

// longest returns the length of the longest frame that may come with header h.
// Of a GSO frame, the segments are bounded by Config.MaxFrameSize.
func (p *bufferPools) longest(h frame.VNetHeader) int {
	if h.GSOType != frame.GSONone {
		return max(p.maxFrame, frame.MaxGSO)
	}
	return p.maxFrame
}

// receive returns the pool of buffers to receive frames in, and the length of
// the longest frame that may come: with metadata, that of a GSO frame.
func (p *bufferPools) receive(metadata bool) (_ *pool.Pool, longest int) {
	var h frame.VNetHeader
	if metadata {
		h.GSOType = frame.GSOTCPv4
	}
	longest = p.longest(h)
	return p.of(max(longest, p.large)), longest
}

// live returns the number of buffers in use.
func (p *bufferPools) live() (n int64) {
	if p == nil {
		return 0
	}
	for _, q := range p.pools {
		n += q.Stats().Live
	}
	return n
}

// Pools returns the pools of the buffers in which frames are received, forwarded
// and wait, for their Stats and Leaks; a frame is in the smallest buffer that
// holds it. Once the switch and the connections of Attach and Monitor are
// closed, and the channels of Frames drained, a buffer that is live is that of a
// Frame that was not released.
//
// In leak mode of package pool, Leaks names the port and the endpoint of each.
func (sw *Switch) Pools() []*pool.Pool {
	if sw.buffers == nil {
		return nil // the configuration was refused
	}
	return slices.Clone(sw.buffers.pools[:])
}

// String names e in reports of leak mode.
func (e *endpoint) String() string {
	switch {
	case e.port == nil:
		return fmt.Sprintf("an endpoint without a port (%q)", e.info.Description)
	case e.info.Kind == KindMonitor:
		return fmt.Sprintf("monitor session %d (%q)", e.info.ID, e.info.Description)
	}
	return fmt.Sprintf("port %d (%q)", e.port.num, e.info.Description)
}

// queueOwner is how leak mode names the queue of e as the owner of buffers.
func (e *endpoint) queueOwner() string { return "the queue of " + e.String() }
