// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"time"

	"github.com/go-vde/sdk/link"
)

// An egress takes frames from the switch to the other side of an endpoint.
type egress interface {
	// attached is called with sw.mu held when the endpoint gets its port.
	attached(e *endpoint) error

	// offer hands over as many of the frames as the other side takes without
	// waiting, in order, and returns how many. If not all, cause says why.
	offer(o outgoing) (n int, cause dropCause)

	// offload returns which partial frames the other side takes at this moment.
	// Others are not offered, except those of a batch that is under way when that
	// changes.
	offload() link.Offload

	// await waits until there may be room, at most for the given time.
	await(w *waiter, left time.Duration) waitResult

	// idle reports whether the other side may have nothing left to read.
	idle() bool

	// queued returns how many frames are in the switch's own queue.
	queued() int
}

// An outgoing is frames of a batch on their way to one endpoint.
type outgoing struct {
	b     *batch
	items []uint8
	as    *portConf // of the port whose form they leave in; nil: as they came
	give  bool      // nobody else needs the buffers
	waits bool      // the sender waits for room if there is none
}

// from returns o without its first n frames.
func (o outgoing) from(n int) outgoing {
	o.items = o.items[n:]
	return o
}

// first returns the first n frames of o.
func (o outgoing) first(n int) outgoing {
	o.items = o.items[:n]
	return o
}

// tx returns the frames as they are sent without waiting. They are lent until
// done is called with it.
func (o outgoing) tx() link.Tx {
	b := o.b
	t := link.Tx{Frames: b.views[:len(o.items)], NoWait: true}
	for k, i := range o.items {
		t.Frames[k] = b.form(i, o.as)
	}
	if b.metadata {
		t.Headers = b.headers[:len(o.items)]
		for k, i := range o.items {
			t.Headers[k] = b.header(i, o.as)
		}
	}
	return t
}

func (o outgoing) done(t link.Tx) { clear(t.Frames) }
