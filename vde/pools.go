// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import "github.com/go-vde/sdk/pool"

// FramePools returns the pools that the buffers of [Conn.Frames] come from, for
// their Stats and Leaks: the one that [WithFrames] names, or this connection's own
// by default. An in-process port of a switch hands over buffers of the switch,
// whose pools count those of all its ports; other links that hand over buffers
// return their pools by link.Caps, or there are none to return.
//
// While Frames delivers, up to 64 buffers are in use to receive in. After Close,
// and once the channel has been drained, a buffer of a pool of this connection's
// own that is live is one that was not released.
func (c *Conn) FramePools() []*pool.Pool {
	if c.caps.Buffers != nil {
		if c.caps.Pools == nil {
			return nil
		}
		return c.caps.Pools()
	}
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	return []*pool.Pool{c.framePool()}
}

// framePool returns the pool that buffers are taken from, unless the link hands
// over its own; life.mu is held.
func (c *Conn) framePool() *pool.Pool {
	if c.frames.pool == nil {
		c.frames.pool = pool.New(c.maxFrame, 0)
	}
	return c.frames.pool
}
