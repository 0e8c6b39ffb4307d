// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"fmt"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

// Live returns the number of frame buffers in use.
func Live(sw *Switch) int64 { return sw.live() }

// LiveLargest returns how many of those are for offloaded frames.
func LiveLargest(sw *Switch) int64 { return sw.pools[len(sw.pools)-1].Stats().Live }

// LinkOf returns the link of c, a connection of sw.
func LinkOf(sw *Switch, c *vde.Conn) link.Link {
	for _, p := range append(sw.records(), sw.taps) {
		for _, cable := range *p.cables.Load() {
			if o, ok := cable.out.(*inprocOutlet); ok && o.conn == c {
				return (*inproc)(o)
			}
		}
	}
	return nil
}

// Queued returns the number of frames that wait to be read from c, a connection
// of sw.
func Queued(sw *Switch, c *vde.Conn) int {
	for _, p := range append(sw.records(), sw.taps) {
		for _, cable := range *p.cables.Load() {
			if o, ok := cable.out.(*inprocOutlet); ok && o.conn == c {
				return o.queued()
			}
		}
	}
	return 0
}

// Inject forwards frames as if a socket client on port n, which exists, had sent
// them together; with agreed, behind offload headers.
func Inject(sw *Switch, n int, frames [][]byte, agreed bool) {
	sw.mu.Lock()
	p := sw.ports[n]
	sw.mu.Unlock()
	homes := make([]*pool.Buffer, len(frames))
	b := newBatch(p)
	from, longest := sw.readPool(agreed)
	ahead := 0
	if agreed {
		ahead = frame.VNetHeaderLen
		b.keeper = sw.largeBuffer + 1
	}
	for i, f := range frames {
		homes[i] = from.Get()
		homes[i].Prepend(ahead)
		window := homes[i].Bytes()
		data := window[:copy(window[:ahead+longest], f)]
		homes[i].TrimFront(ahead)
		it := &b.items[i]
		it.home, it.size, it.data = homes[i], len(f), data
		if agreed {
			it.setHeaded(data, len(f))
		}
	}
	b.n = len(frames)
	if k, err := b.forward(); k != len(frames) || err != nil {
		panic(fmt.Sprint("forward: ", k, err))
	}
	for i := range homes {
		homes[i] = b.items[i].home
	}
	pool.ReleaseBatch(homes)
	b.free()
}

// Waiting returns how many senders wait for room at c, a connection of sw.
func Waiting(sw *Switch, c *vde.Conn) int {
	l, _ := LinkOf(sw, c).(*inproc)
	return int(l.waiters.Load())
}
