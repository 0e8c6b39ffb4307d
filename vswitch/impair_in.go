// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"github.com/go-vde/sdk/internal/delayline"
	"github.com/go-vde/sdk/link"
)

// take takes the frames of f's batch, which come from the endpoint, and counts those
// that are dropped; the others are counted when they have been dealt with. ok is false
// if the line has retired.
func (l *endpointLine) take(f *forwarder) (n int, ok bool, err error) {
	if err := l.awaitBacklog(f); err != nil {
		return 0, true, err
	}
	var (
		b      = &f.batch
		frames [maxBatch]delayline.Frame
		fates  [maxBatch]delayline.Fate
		items  = f.group[:0]
		c      = classifier{sw: f.sw, in: f.in, b: b}
	)
	for i := range b.items[:b.n] {
		if c.checkSize(&b.items[i]) {
			items = append(items, uint8(i))
		}
	}
	b.keep(items, nil)
	list := frames[:len(items)]
	for k, i := range items {
		list[k] = delayline.Frame{Buffer: b.ref(i, nil, false), Header: b.items[i].header}
	}
	if !l.Enter(list, fates[:]) {
		releaseFrames(list)
		return 0, false, nil
	}
	f.sw.forwarding.RLock()
	defer f.sw.forwarding.RUnlock()
	f.tally.impaired(b, items, fates[:])
	f.tally.flush(f.in)
	return b.n, true, nil
}

// awaitBacklog waits until f's batch may enter. It fails only if f is exact.
func (l *endpointLine) awaitBacklog(f *forwarder) error {
	for backlog := l.Backlog(f.batch.n); backlog != nil; backlog = l.Backlog(f.batch.n) {
		if f.wait.try {
			return link.ErrFull
		}
		f.wait.block()
		switch aborted := f.wait.await(backlog, Forever) == waitAborted; {
		case aborted && f.exact:
			return f.wait.err()
		case aborted:
			return nil
		}
	}
	return nil
}

// impaired counts what a line has dropped at once of the items of b, of which it was
// given some, and those that were dropped before. It changes the items.
func (t *tally) impaired(b *batch, items []uint8, fates []delayline.Fate) {
	for i := range b.items[:b.n] {
		it := &b.items[i]
		if len(items) == 0 || items[0] != uint8(i) {
			t.drop(it, it.cause)
			continue
		}
		t.outcome(it, fates[0].Frame)
		it.duplicate = true
		t.outcome(it, fates[0].Copy)
		items, fates = items[1:], fates[1:]
	}
}

// outcome counts it if outcome says that it was dropped.
func (t *tally) outcome(it *item, outcome delayline.Outcome) {
	switch outcome {
	case delayline.Lost:
		t.drop(it, inImpaired)
	case delayline.Overflowed:
		t.drop(it, inFull)
	case delayline.Stopped:
		t.drop(it, inClosed)
	}
}

// drop counts it as a frame that was dropped.
func (t *tally) drop(it *item, cause dropCause) {
	t.frame(it)
	t.dropped[cause]++
}

// forward forwards frames from the endpoint that have arrived.
func (l *endpointLine) forward(frames []delayline.Frame) (accepted int) {
	f := newForwarder(l.e)
	defer f.free()
	f.late, f.wait.done = true, l.stopped
	f.batch.fill(frames)
	_, _ = f.forward() // fails only if it is exact
	return len(frames)
}

// dropIn drops frames that are under way from an endpoint that has ended.
func (l *endpointLine) dropIn(frames []delayline.Frame) {
	sw := l.e.port.sw
	sw.forwarding.RLock()
	in := l.e.port.inNow()
	in.frames.Add(uint64(len(frames)))
	in.dropped[inClosed].Add(uint64(len(frames)))
	for _, f := range frames {
		if f.Copy {
			in.duplicated.Add(1)
		}
	}
	sw.forwarding.RUnlock()
	releaseFrames(frames)
}

// awaitBacklog waits for the end of a backlog of frames from e, if there is one.
func (e *endpoint) awaitBacklog(w *waiter) waitResult {
	if l := e.impaired.in.line.Load(); l != nil {
		if backlog := l.Backlog(maxBatch); backlog != nil {
			return w.await(backlog, Forever)
		}
	}
	return waitRoom
}
