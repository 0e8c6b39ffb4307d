// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"fmt"
	"runtime"

	"github.com/go-vde/sdk/pool"
)

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

// FrameOwner returns the name by which leak mode of package pool knows this
// connection as the owner of the frames that Frames has delivered. A program that
// passes them on to a part of its own that releases them gives it to
// [pool.RemoveOwner], and the name of that part to [pool.AddOwner]. It is empty
// before Frames is called, and without the build tag poolleak.
func (c *Conn) FrameOwner() string {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	return c.frames.owners.frames
}

// framePool returns the pool that buffers are taken from, unless the link hands
// over its own; life.mu is held.
func (c *Conn) framePool() *pool.Pool {
	if c.frames.pool == nil {
		c.frames.pool = pool.New(c.maxFrame, 0)
	}
	return c.frames.pool
}

// An owners is how leak mode names a connection as the owner of buffers.
type owners struct {
	receiving string // of those to receive in
	frames    string // of those that were delivered
}

// setOwners is called by Frames in leak mode.
func (c *Conn) setOwners() {
	name := fmt.Sprintf("vde.Conn %q", c.addr)
	if f := c.caps.Name; f != nil {
		name += " on " + f()
	}
	c.frames.owners = owners{receiving: name + " to receive in", frames: name + " as a Frame"}
	if _, file, line, ok := runtime.Caller(2); ok {
		c.frames.owners.frames += fmt.Sprintf(", Frames called at %s:%d", file, line)
	}
}
