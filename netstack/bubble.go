// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/vde"
)

// A bubble makes a stack work in a bubble of testing/synctest, whose clock advances
// only while all goroutines of the bubble are durably blocked.
//
// gVisor processes TCP segments in goroutines of its own, which wait by a function of
// the runtime that synctest does not take for durable, so the clock would stand still
// for ever. Stack.Pause makes them process all that is queued and then wait for a
// channel, which is durable. So the goroutine of a bubble keeps them paused, and
// resumes and pauses them when there may be segments to process.
type bubble struct {
	stack   *stack.Stack
	queued  chan struct{} // capacity 1: there may be segments to process
	stopped chan struct{} // closed by stop
	running sync.WaitGroup
}

// newBubble returns nil if the calling goroutine is not in a bubble. It returns an
// error if the clock of the bubble could not advance with a host on c.
func newBubble(c *vde.Conn) (*bubble, error) {
	if !inBubble() {
		return nil, nil
	}
	if c != nil {
		if caps := c.Caps(); caps.Raw != nil || caps.SharedMemory {
			return nil, fmt.Errorf("%w: in a bubble of testing/synctest a host needs a connection within the process, such as one of vswitch.Switch.Attach: "+
				"the clock of the bubble would stand still, because the host waits for a descriptor", errors.ErrUnsupported)
		}
	}
	return &bubble{queued: make(chan struct{}, 1), stopped: make(chan struct{})}, nil
}

// inBubble reports whether the calling goroutine is in a bubble of testing/synctest.
// The first line of its stack trace is all that the runtime tells about it.
func inBubble() bool {
	var trace [128]byte
	line, _, _ := bytes.Cut(trace[:runtime.Stack(trace[:], false)], []byte("\n"))
	return bytes.Contains(line, []byte("synctest bubble"))
}

// clock returns the clock of the stack, or nil for the default.
func (b *bubble) clock() tcpip.Clock {
	if b == nil {
		return nil
	}
	return bubbleClock{tcpip.NewStdClock(), b}
}

// A bubbleClock notices that a segment is being queued: gVisor reads the clock for
// each one.
type bubbleClock struct {
	tcpip.Clock
	b *bubble
}

// NowMonotonic implements tcpip.Clock.
func (c bubbleClock) NowMonotonic() tcpip.MonotonicTime {
	c.b.wake()
	return c.Clock.NowMonotonic()
}

// start begins to process the segments of s.
func (b *bubble) start(s *stack.Stack) {
	b.stack = s
	b.running.Go(b.run)
}

// wake says that there may be segments to process.
func (b *bubble) wake() {
	select {
	case b.queued <- struct{}{}:
	default:
	}
}

// run processes segments until stop.
func (b *bubble) run() {
	// A segment may be queued after the clock was read, or belong to a connection that
	// a call is using, which queues it again at its end. Both have happened before the
	// clock of the bubble advances. The timer fires only then.
	rest := time.NewTimer(0)
	defer rest.Stop()
	b.stack.Pause()
	for {
		select {
		case <-b.queued:
			rest.Reset(1)
		case <-rest.C:
		case <-b.stopped:
			b.stack.Resume()
			return
		}
		b.stack.Resume()
		b.stack.Pause()
	}
}

// stop leaves the goroutines of the stack running. It is called before the stack is
// closed, which they must notice.
func (b *bubble) stop() {
	if b == nil {
		return
	}
	close(b.stopped)
	b.running.Wait()
}
