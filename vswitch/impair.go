// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/internal/delayline"
	"github.com/go-vde/sdk/pool"
)

// DefaultImpairQueue is how many frames may be under way in one direction of an
// endpoint of an impaired port if Queue of the impairment is zero.
const DefaultImpairQueue = 1024

// Bounds of [PortConfig.Impair].
const (
	maxImpairDelay = time.Hour
	maxImpairQueue = 1 << 20
)

// checkImpair returns what is wrong with the impairments of a port.
func checkImpair(c impair.Config) error {
	if err := c.Validate(); err != nil {
		return configError("Impair.%w", errors.Unwrap(err))
	}
	for _, d := range []struct {
		name string
		impair.Impairment
	}{{"In", c.In}, {"Out", c.Out}} {
		switch {
		case d.Delay > maxImpairDelay:
			return configError("Impair.%s.Delay is %v, want at most %v", d.name, d.Delay, maxImpairDelay)
		case d.Jitter > maxImpairDelay:
			return configError("Impair.%s.Jitter is %v, want at most %v", d.name, d.Jitter, maxImpairDelay)
		case d.Queue > maxImpairQueue:
			return configError("Impair.%s.Queue is %d, want at most %d", d.name, d.Queue, maxImpairQueue)
		}
	}
	return nil
}

// impairs reports whether i does something to frames.
func impairs(i impair.Impairment) bool {
	i.Queue, i.Reorder = 0, 0 // where nothing is delayed, no frame overtakes another
	return i != impair.Impairment{}
}

// An endpointLine is what the frames of one direction of an endpoint go through while
// its port is impaired. It exists from the first frame of an impairment on. When the
// impairment is removed, it lets what is under way arrive and retires; frames take the
// short way again once it is empty, so that their order stays.
type endpointLine struct {
	*delayline.Line
	e       *endpoint
	stopped chan struct{} // closed when the endpoint has ended
	budget  waitBudget    // for waiting for room at e
}

// A direction is one direction of an endpoint.
type direction struct {
	line   atomic.Pointer[endpointLine] // nil where nothing is impaired; written with sw.mu held, and by a line that has retired
	impair impair.Impairment            // guarded by sw.mu; that of line
}

// An impairment is the impairments of an endpoint, if there are any.
type impairments struct {
	in, out direction
	seed    uint64 // guarded by sw.mu
	index   int    // among the endpoints of the port, when it was attached
}

// setImpair makes c the impairments of e, which is about to be attached or is; sw.mu is
// held.
func (e *endpoint) setImpair(c impair.Config) {
	reseed := c.Seed != e.impaired.seed
	e.impaired.seed = c.Seed
	e.setLine(&e.impaired.in, c.In, reseed)
	e.setLine(&e.impaired.out, c.Out, reseed)
}

// setLine makes i the impairment of d; sw.mu is held.
func (e *endpoint) setLine(d *direction, i impair.Impairment, reseed bool) {
	if i == d.impair && !reseed {
		return
	}
	d.impair = i
	l := d.line.Load()
	switch {
	case !impairs(i) && l != nil:
		l.Drain()
	case !impairs(i):
	case l != nil && l.Set(lineImpairment(i)):
		l.Expedite()
		if reseed {
			l.Seed(e.impaired.seed, e.stream(d))
		}
	default:
		e.startLine(d)
	}
}

// lineImpairment returns i for a line of an endpoint.
func lineImpairment(i impair.Impairment) delayline.Impairment {
	setDefault(&i.Queue, DefaultImpairQueue)
	return delayline.Impairment(i)
}

// stream returns the number of the random numbers of a direction: other ones for each
// port, so that a frame that is flooded is not lost at all of them or none.
func (e *endpoint) stream(d *direction) uint64 {
	n := uint64(e.port.num)<<32 | uint64(e.impaired.index)<<1
	if d == &e.impaired.out {
		n |= 1
	}
	return n
}

// startLine makes a line for d; sw.mu is held.
func (e *endpoint) startLine(d *direction) {
	sw := e.port.sw
	l := &endpointLine{e: e, stopped: make(chan struct{})}
	c := delayline.Config{
		Impairment: lineImpairment(d.impair), Seed: e.impaired.seed, Stream: e.stream(d),
		Longest: sw.cfg.MaxFrameSize, Deliver: l.forward, Drop: l.dropIn,
	}
	name := "frames from "
	if d == &e.impaired.out {
		c.Deliver, c.Drop = l.transmit, l.dropOut
		name = "frames to "
	}
	if pool.LeakMode {
		c.Owner = "the impairment of " + name + e.String()
	}
	l.Line = delayline.New(c)
	d.line.Store(l)
	e.lines.Add(1)
	sw.running.Go(func() {
		defer e.lines.Done()
		l.Run()
		d.line.CompareAndSwap(l, nil)
	})
}

// stopLines ends the lines of e, which was removed from its port; sw.mu is held.
func (e *endpoint) stopLines() {
	for _, d := range []*direction{&e.impaired.in, &e.impaired.out} {
		if l := d.line.Load(); l != nil {
			close(l.stopped)
			l.Stop()
		}
	}
}

// fill makes frames that have arrived the items of b, which is empty.
func (b *batch) fill(frames []delayline.Frame) {
	for i, f := range frames {
		it := &b.items[i]
		it.buf, it.data = f.Buffer, f.Buffer.Bytes()
		it.size, it.shared, it.duplicate = len(it.data), f.Shared, f.Copy
		b.setHeader(it, f.Header)
	}
	b.n = len(frames)
}

func releaseFrames(frames []delayline.Frame) {
	for _, f := range frames {
		f.Buffer.Release()
	}
}
