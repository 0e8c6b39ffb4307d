// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/pool"
)

// An Option adjusts Open; later options win.
type Option interface{ apply(*config) }

type option func(*config)

func (o option) apply(c *config) { o(c) }

// A config is what the options add up to. Zero values mean the defaults given
// in the options' documentation.
type config struct {
	description       string
	mode              fs.FileMode
	modeSet           bool
	group             string
	port              int
	portGroupFallback bool
	writeBuffer       int
	maxFrame          int
	pool              *pool.Pool
	depth             int
	tap               func(Direction, frame.Frame)
	sharedMemory      SharedMemory
	offload           bool             // offered for sockets too
	reconnect         *ReconnectPolicy // nil: the connection ends with the switch
}

// WithDescription sets the label shown in the switch's port list (default: the
// program's name). " user=NAME pid=PID" is added to it, as libvdeplug does, and
// " SSH=ADDRESS" in an SSH session; control characters become '?', and the text
// is shortened so that the whole is at most 127 bytes.
func WithDescription(s string) Option {
	return option(func(c *config) { c.description = s })
}

// WithSocketMode sets the permission bits of the data socket while it has a
// name, that is during Open (default 0700; 0 means the default). If the switch
// belongs to another user than root or this process, and neither the bits nor
// [WithSocketGroup] let others in, the switch's group, or failing that everybody,
// is let in too: the switch has to write to this socket. A mode in the VNL wins.
func WithSocketMode(mode fs.FileMode) Option {
	return option(func(c *config) { c.mode, c.modeSet = mode, mode != 0 })
}

// WithSocketGroup sets the group of the data socket while it has a name: a
// group's name or its decimal number. An unknown group is an error of Open. A
// group in the VNL wins.
func WithSocketGroup(name string) Option {
	return option(func(c *config) { c.group = name })
}

// WithPort asks for port n of the switch: 0, the default, is any free port, and
// a negative n is port 0, the management port. The VNL's own [n] wins over it.
func WithPort(n int) Option {
	return option(func(c *config) { c.port = max(n, int(wire.ManagementPort)) })
}

// WithPortGroupFallback makes a port group that the switch does not have join
// any free port, as libvdeplug does. Without it, that is an error which matches
// [ErrNoPortGroup], because a misspelt name would join the wrong network.
func WithPortGroupFallback() Option {
	return option(func(c *config) { c.portGroupFallback = true })
}

// WithWriteBuffer asks the kernel for a send queue of about this many bytes
// (default: the system's, 212992 on Linux). It is what decides how many frames
// may wait for a slow peer; such a socket's receive buffer has no effect. The
// kernel doubles the figure for its own overhead and caps it at the sysctl
// net.core.wmem_max.
func WithWriteBuffer(bytes int) Option {
	return option(func(c *config) { c.writeBuffer = bytes })
}

// WithMaxFrameSize limits frames in both directions to n bytes, Ethernet header
// included (default, also for 0, [frame.DefaultMaxSize], 9234). Longer ones are an
// error to write, and are discarded and counted in [Stats] when received.
func WithMaxFrameSize(n int) Option {
	return option(func(c *config) { c.maxFrame = n })
}

// WithFrames sets the pool that [Conn.Frames] takes its buffers from and the
// depth of its channel in frames (defaults, for nil and 0: a pool of this
// connection's own with buffers of the maximum frame size, and 256). A frame
// longer than the pool's buffers is discarded and counted. An in-process port
// hands over the sender's buffer instead, whichever pool it came from.
func WithFrames(p *pool.Pool, depth int) Option {
	return option(func(c *config) { c.pool, c.depth = p, depth })
}

// maxDatagram is a bound on what one datagram can be asked to hold.
const maxDatagram = 1 << 20

// newConfig applies opts to the defaults and checks the result.
func newConfig(opts []Option) (config, error) {
	c := config{mode: 0o700, depth: 256, maxFrame: frame.DefaultMaxSize, description: filepath.Base(os.Args[0])}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	if !c.modeSet {
		c.mode = 0o700
	}
	if c.depth == 0 {
		c.depth = 256
	}
	if c.maxFrame == 0 {
		c.maxFrame = frame.DefaultMaxSize
	}
	switch {
	case c.mode&^0o777 != 0:
		return c, fmt.Errorf("WithSocketMode(%#o): only permission bits (0 to 0777) are possible", uint32(c.mode))
	case c.maxFrame < frame.HeaderLen || c.maxFrame > maxDatagram:
		return c, fmt.Errorf("WithMaxFrameSize(%d): give %d to %d bytes", c.maxFrame, frame.HeaderLen, maxDatagram)
	case c.writeBuffer < 0:
		return c, fmt.Errorf("WithWriteBuffer(%d): give a positive number of bytes", c.writeBuffer)
	case c.depth < 0:
		return c, fmt.Errorf("WithFrames(…, %d): give a positive depth", c.depth)
	case !c.sharedMemory.valid():
		return c, fmt.Errorf("WithSharedMemory(%d): there is no such mode", int(c.sharedMemory))
	case c.port > int(wire.MaxPort):
		return c, fmt.Errorf("WithPort(%d): the largest port is %d", c.port, wire.MaxPort)
	}
	if c.reconnect != nil {
		policy, err := c.reconnect.withDefaults()
		if err != nil {
			return c, err
		}
		c.reconnect = &policy
	}
	return c, nil
}
