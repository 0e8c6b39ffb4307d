// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"time"

	"github.com/go-vde/sdk/internal/delayline"
	"github.com/go-vde/sdk/link"
)

// What the switch asks of the egress of an endpoint, it asks of the endpoint, which
// has the frames go through its line if there is one.

// delays reports whether what e takes does not go to its egress at once.
func (e *endpoint) delays() bool { return e.impaired.out.line.Load() != nil }

// offload returns which partial frames e takes at this moment: none if they are
// impaired, because each segment is lost or delayed by itself.
func (e *endpoint) offload() link.Offload {
	if e.delays() {
		return 0
	}
	return e.egress.offload()
}

// offer is that of egress. A line takes all frames, and drops those that there is no room
// for, but those of a sender that waits while there is a backlog.
func (e *endpoint) offer(o outgoing) (n int, cause dropCause) {
	if l := e.impaired.out.line.Load(); l != nil {
		if n, cause, ok := l.offer(o); ok {
			return n, cause
		}
	}
	return e.egress.offer(o)
}

// await is that of egress.
func (e *endpoint) await(w *waiter, left time.Duration) waitResult {
	l := e.impaired.out.line.Load()
	if l == nil {
		return e.egress.await(w, left)
	}
	if backlog := l.Backlog(maxBatch); backlog != nil {
		return w.await(backlog, left)
	}
	return waitRoom
}

// idle is that of egress.
func (e *endpoint) idle() bool {
	l := e.impaired.out.line.Load()
	return (l == nil || l.Pending() == 0) && e.egress.idle()
}

// queued returns how many frames are on their way to the other side of e.
func (e *endpoint) queued() int {
	n := e.egress.queued()
	if l := e.impaired.out.line.Load(); l != nil {
		n += l.Pending()
	}
	return n
}

// offer takes frames for the endpoint; ok is false if the line has retired.
func (l *endpointLine) offer(o outgoing) (n int, cause dropCause, ok bool) {
	switch {
	case l.e.port.conf.Load().blocked && !o.b.probe:
		return 0, outBlocked, true
	case o.waits && l.Backlog(len(o.items)) != nil:
		return 0, outFull, true
	}
	o.b.keep(o.items, o.as)
	var (
		frames [maxBatch]delayline.Frame
		fates  [maxBatch]delayline.Fate
		list   = frames[:len(o.items)]
	)
	for k, i := range o.items {
		list[k] = delayline.Frame{Buffer: o.b.ref(i, o.as, false), Header: o.b.header(i, o.as), Mark: o.b.probe}
	}
	if !l.Enter(list, fates[:]) {
		releaseFrames(list)
		return 0, 0, false
	}
	var dropped [numOutCauses]uint64
	duplicated := uint64(0)
	for _, f := range fates[:len(list)] {
		if f.Copy != delayline.None {
			duplicated++
		}
		for _, outcome := range []delayline.Outcome{f.Frame, f.Copy} {
			switch outcome {
			case delayline.Lost:
				dropped[outImpaired]++
			case delayline.Overflowed:
				dropped[outFull]++
			case delayline.Stopped:
				dropped[outClosed]++
			}
		}
	}
	out := l.e.port.outNow()
	if duplicated > 0 {
		out.offered.Add(duplicated)
		out.duplicated.Add(duplicated)
	}
	for cause, n := range dropped {
		if n > 0 {
			out.dropped[cause].Add(n)
		}
	}
	return len(o.items), 0, true
}

// transmit hands frames that have arrived to the egress, in runs of probes and of
// others.
func (l *endpointLine) transmit(frames []delayline.Frame) (accepted int) {
	for rest := frames; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Mark == rest[0].Mark {
			n++
		}
		l.transmitRun(rest[:n])
		rest = rest[n:]
	}
	return len(frames)
}

// transmitRun waits for room as the port's policy says. The frames were offered when
// they entered.
func (l *endpointLine) transmitRun(frames []delayline.Frame) {
	f := newForwarder(l.e)
	defer f.free()
	f.delivery.late, f.delivery.exact, f.delivery.budget = true, false, &l.budget
	f.wait.done = l.stopped
	b := &f.batch
	b.probe = frames[0].Mark
	b.fill(frames)
	items := f.group[:0]
	offload := l.e.egress.offload()
	for i := range frames {
		if b.metadata && !offload.Takes(b.items[i].header) {
			l.e.port.outNow().dropped[outRefused].Add(1) // a link that has become another one
			continue
		}
		items = append(items, uint8(i))
	}
	l.e.port.sw.forwarding.RLock()
	defer l.e.port.sw.forwarding.RUnlock()
	_, _ = f.delivery.toEndpoint(l.e, l.e.port.conf.Load(), outgoing{b: b, items: items, give: true}) // fails only if it is exact
}

// dropOut drops frames that are under way to an endpoint that has ended.
func (l *endpointLine) dropOut(frames []delayline.Frame) {
	l.e.port.outNow().dropped[outClosed].Add(uint64(len(frames)))
	releaseFrames(frames)
}
