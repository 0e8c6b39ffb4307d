// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
)

// Live returns the number of frame buffers in use.
func Live(sw *Switch) int64 { return sw.buffers.live() }

// LiveLargest returns how many of those are for GSO frames.
func LiveLargest(sw *Switch) int64 {
	pools := sw.buffers.pools
	return pools[len(pools)-1].Stats().Live
}

// inprocOf returns the link of c, a connection of sw, or nil.
func inprocOf(sw *Switch, c *vde.Conn) *inproc {
	for _, p := range append(sw.records(), sw.monitors) {
		for _, e := range *p.endpoints.Load() {
			if l, ok := e.egress.(*inproc); ok && l.conn == c {
				return l
			}
		}
	}
	return nil
}

// LinkOf returns the link of c, a connection of sw.
func LinkOf(sw *Switch, c *vde.Conn) link.Link { return inprocOf(sw, c) }

// Queued returns the number of frames that wait to be read from c, a connection
// of sw.
func Queued(sw *Switch, c *vde.Conn) int {
	if l := inprocOf(sw, c); l != nil {
		return l.queued()
	}
	return 0
}

// Waiting returns how many senders wait for room at c, a connection of sw.
func Waiting(sw *Switch, c *vde.Conn) int { return int(inprocOf(sw, c).waiters.Load()) }

// Waited returns how long the first endpoint of port n has waited for room as a
// sender.
func Waited(sw *Switch, n int) time.Duration {
	sw.mu.Lock()
	b := &(*sw.ports[n].endpoints.Load())[0].budget
	sw.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// Inject forwards frames as if a client on port n, which exists, had sent them
// together: with headers through shared memory, where nobody has checked them,
// and with nil through a socket.
func Inject(sw *Switch, n int, frames [][]byte, headers []frame.VNetHeader) {
	sw.mu.Lock()
	e := &linkEndpoint{endpoint: endpoint{port: sw.ports[n]}, sw: sw}
	sw.mu.Unlock()
	l := injected{frames: frames, headers: headers}
	if headers != nil {
		(&linkNotified{e, l}).Ready(func() {})
		return
	}
	r := newLinkReceiver(sw.buffers, false)
	r.busy = true
	n, _ = r.recv(l)
	r.forward(e, n)
	r.release(0)
}

// An injected is a link that has received frames.
type injected struct {
	link.Link
	link.Notifier
	frames  [][]byte
	headers []frame.VNetHeader
}

// Recv implements link.Link.
func (l injected) Recv(r link.Rx) (int, error) {
	for i, f := range l.frames {
		copy(r.Bufs[i], f)
		r.Sizes[i] = len(f)
	}
	return len(l.frames), nil
}

// RecvPlaced implements link.Notifier.
func (l injected) RecvPlaced(p link.Placer, _ int) (int, error) {
	for i, f := range l.frames {
		copy(p.Place(i, len(f), l.headers[i]), f)
	}
	return len(l.frames), nil
}

// ImpairedDirections returns how many directions of endpoints of port n, which exists,
// are impaired, or have frames under way since they were.
func ImpairedDirections(sw *Switch, n int) (impaired int) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for _, e := range *sw.ports[n].endpoints.Load() {
		for _, d := range []*direction{&e.impaired.in, &e.impaired.out} {
			if d.line.Load() != nil {
				impaired++
			}
		}
	}
	return impaired
}

// UnderWay returns how many frames are under way in impairments of port n, which exists.
func UnderWay(sw *Switch, n int) (frames int) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for _, e := range *sw.ports[n].endpoints.Load() {
		for _, d := range []*direction{&e.impaired.in, &e.impaired.out} {
			if l := d.line.Load(); l != nil {
				frames += l.Pending()
			}
		}
	}
	return frames
}
