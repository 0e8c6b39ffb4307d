// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
)

// An Option adjusts Open; later options win.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// A config holds the values that options set. Zero values mean the defaults given
// in the options' documentation.
type config struct {
	link.Settings
	name      string // of the connection itself, for LocalAddr
	pool      *pool.Pool
	depth     int
	hook      func(Direction, frame.Frame)
	drivers   link.Mux
	reconnect *ReconnectPolicy // nil: the connection ends with its link
}

// Settings returns the settings that opts ask of a link. Programs that open a
// link for [NewConn] give them to its driver. The error is that of Open.
func Settings(opts ...Option) (link.Settings, error) {
	cfg, err := newConfig(opts)
	return cfg.Settings, err
}

// WithName sets what LocalAddr shows of a connection made by [NewConn].
func WithName(name string) Option {
	return option(func(c *config) { c.name = name })
}

// WithDrivers adds drivers for schemes of locators to those of Open. A driver in m
// replaces the driver that Open has for the scheme.
func WithDrivers(m link.Mux) Option {
	return option(func(c *config) { c.drivers = c.drivers.With(m) })
}

// WithDescription sets the label shown in the switch's port list (default: the
// program's name). " user=NAME pid=PID" is added to it, as libvdeplug does, and
// " SSH=ADDRESS" in an SSH session; control characters become '?', and the text
// is shortened so that the whole is at most 127 bytes.
func WithDescription(s string) Option {
	return option(func(c *config) { c.Description = s })
}

// WithSocketMode sets the permission bits of the data socket while it has a
// name, that is during Open (default 0700; 0 means the default). If the switch
// belongs to another user than root or this process, and neither the bits nor
// [WithSocketGroup] give others access, the switch's group, or else every user,
// gets access too: the switch has to write to this socket. A mode in the VNL wins.
func WithSocketMode(mode fs.FileMode) Option {
	return option(func(c *config) { c.SocketMode = mode })
}

// WithSocketGroup sets the group of the data socket while it has a name: a
// group's name or its decimal number. An unknown group is an error of Open. A
// group in the VNL wins.
func WithSocketGroup(name string) Option {
	return option(func(c *config) { c.SocketGroup = name })
}

// WithPort asks for port n of the switch: 0, the default, is any free port, and
// a negative n is port 0, the management port. The VNL's own [n] wins over it.
func WithPort(n int) Option {
	return option(func(c *config) { c.Port = max(n, int(wire.ManagementPort)) })
}

// WithPortGroupFallback makes a port group that the switch does not have join
// any free port, as libvdeplug does. Without it, that is an error which matches
// [ErrNoPortGroup], because a misspelt name would join the wrong network.
func WithPortGroupFallback() Option {
	return option(func(c *config) { c.PortGroupFallback = true })
}

// WithWriteBuffer asks the kernel for a send queue of about this many bytes
// (default: the system's, 212992 on Linux). It decides how many frames
// may wait for a slow peer; such a socket's receive buffer has no effect. The
// kernel doubles the figure for its own overhead and caps it at the sysctl
// net.core.wmem_max.
func WithWriteBuffer(bytes int) Option {
	return option(func(c *config) { c.WriteBuffer = bytes })
}

// WithMaxFrameSize limits frames in both directions to n bytes, Ethernet header
// included (default, also for 0, [frame.DefaultMaxSize], 9234). Longer ones are an
// error to write, and are discarded and counted in [Stats] when received.
func WithMaxFrameSize(n int) Option {
	return option(func(c *config) { c.MaxFrameSize = n })
}

// WithFrames sets the pool that [Conn.Frames] takes its buffers from and the
// depth of its channel in frames (defaults, for nil and 0: a pool of this
// connection's own with buffers of the maximum frame size, and 256). A frame
// longer than the pool's buffers is discarded and counted. An in-process port
// hands over the sender's buffer instead, whichever pool it came from. See
// [Conn.FramePools].
func WithFrames(p *pool.Pool, depth int) Option {
	return option(func(c *config) { c.pool, c.depth = p, depth })
}

// maxDatagram is a bound on what one datagram can be asked to hold.
const maxDatagram = 1 << 20

// newConfig applies opts to the defaults and checks the result.
func newConfig(opts []Option) (config, error) {
	c := config{Settings: link.Settings{Description: filepath.Base(os.Args[0])}}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	c.depth = cmp.Or(c.depth, defaultDepth)
	c.MaxFrameSize = cmp.Or(c.MaxFrameSize, frame.DefaultMaxSize)
	switch {
	case c.SocketMode&^0o777 != 0:
		return c, fmt.Errorf("WithSocketMode(%#o): only permission bits (0 to 0777) are possible", uint32(c.SocketMode))
	case c.MaxFrameSize < frame.HeaderLen || c.MaxFrameSize > maxDatagram:
		return c, fmt.Errorf("WithMaxFrameSize(%d): give %d to %d bytes", c.MaxFrameSize, frame.HeaderLen, maxDatagram)
	case c.WriteBuffer < 0 || c.WriteBuffer > maxWriteBuffer:
		return c, fmt.Errorf("WithWriteBuffer(%d): give a positive number of bytes, at most %d", c.WriteBuffer, maxWriteBuffer)
	case c.depth < 0:
		return c, fmt.Errorf("WithFrames(…, %d): give a positive depth", c.depth)
	case !c.SharedMemory.Valid():
		return c, fmt.Errorf("WithSharedMemory(%d): there is no such mode", int(c.SharedMemory))
	case !c.Streams.Valid():
		return c, fmt.Errorf("WithStreams(%d): there is no such mode", int(c.Streams))
	case c.Port > int(wire.MaxPort):
		return c, fmt.Errorf("WithPort(%d): the largest port is %d", c.Port, wire.MaxPort)
	}
	if c.reconnect != nil {
		policy, err := c.reconnect.Defaults()
		if err != nil {
			return c, fmt.Errorf("WithReconnect: %w", err)
		}
		c.reconnect = &policy
	}
	return c, nil
}

// maxWriteBuffer is the largest write buffer: the kernel doubles it in 32 bits.
const maxWriteBuffer = 1<<30 - 1

// defaultDepth is the depth of the Frames channel in frames.
const defaultDepth = 256

// A SharedMemory says with whom frames may go through shared memory.
type SharedMemory = link.SharedMemory

// Modes of [WithSharedMemory].
const (
	SharedMemorySameUser = link.SharedMemorySameUser // the default: with switches of the user that this process runs as
	SharedMemoryAlways   = link.SharedMemoryAlways   // with any switch that may be joined
	SharedMemoryNever    = link.SharedMemoryNever    // with none
)

// WithSharedMemory says whether to offer the switch a ring in shared memory for
// each direction (default [SharedMemorySameUser]). A switch of this SDK takes the
// offer if its own configuration allows it; every other one ignores it and moves
// frames through sockets. Nothing else is different about the connection, but
// that [Conn.SyscallConn] has no socket to show and [WithWriteBuffer] no effect.
// Where the memory cannot be had, [WithStreams] is the next best, but not with
// [SharedMemoryNever].
//
// A receive that waits for another answer, as the last one brought one, polls for up
// to 200 microseconds before it sleeps, more rarely after polls without success, and
// offers its processor to other processes meanwhile. It never takes the last processor
// that Go has (GOMAXPROCS).
//
// The memory, a little over 1 MiB, holds nothing but frames on their way, and
// the other side is not trusted with more: what it does to the memory can end
// the connection, with [ErrSharedMemory], and nothing else. See
// docs/shared-memory.md.
func WithSharedMemory(mode SharedMemory) Option {
	return option(func(c *config) { c.SharedMemory = mode })
}

// WithoutPolling has a receive from shared memory sleep at once, also when it
// expects an answer. That takes less processor time, and an answer arrives some
// tens of microseconds later. It is about this side only; for a switch see
// vswitch.Config.NoPolling.
func WithoutPolling() Option {
	return option(func(c *config) { c.NoPolling = true })
}

// A Streams says when frames may go through a stream.
type Streams = link.Streams

// Modes of [WithStreams].
const (
	StreamsAuto   = link.StreamsAuto   // the default: where shared memory was wanted and cannot be had
	StreamsAlways = link.StreamsAlways // also with [SharedMemoryNever]
	StreamsNever  = link.StreamsNever  // not at all
)

// WithStreams says when to offer the switch to send frames over the control stream,
// many in one message, where they do not go through shared memory: with a switch of
// another user, say (default [StreamsAuto]). A switch of this SDK takes the offer
// unless its configuration forbids it; every other one ignores it, and one message on
// the data sockets is one frame. That is many times slower for short frames.
//
// As with shared memory, [Conn.SyscallConn] has no socket to show. See
// docs/streams.md.
func WithStreams(mode Streams) Option {
	return option(func(c *config) { c.Streams = mode })
}
