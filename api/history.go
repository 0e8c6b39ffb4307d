// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"slices"
	"sync"

	"github.com/go-vde/sdk/vswitch"
)

// A history keeps the last events of a switch for all who watch it. Those that strangers
// can cause at any rate have a ring of their own, so that they push out no others.
type history struct {
	sub  *vswitch.Subscription
	done chan struct{} // closed when nothing is added any more

	mu      sync.Mutex
	rings   [2]eventRing  // guarded by mu
	seq     uint64        // guarded by mu; of the last event
	changed chan struct{} // guarded by mu; closed at the next event, nil if nobody waits
	ended   error         // guarded by mu; why nothing is added any more
}

// Lengths of the rings, and how many events are looked at with the lock held.
const (
	rareEvents     = 1024
	frequentEvents = 4096
	eventsAtOnce   = 256
)

// An eventRing holds events in the order of their numbers.
type eventRing struct {
	events  []*sharedEvent
	n       uint64 // events that were added ever; that with the index i is at i modulo the length
	evicted uint64 // the number of the last event that is not there any more
}

func (r *eventRing) add(e *sharedEvent) {
	slot := &r.events[r.n%uint64(len(r.events))]
	if r.n >= uint64(len(r.events)) {
		r.evicted = (*slot).Seq
	}
	*slot = e
	r.n++
}

func (r *eventRing) at(i uint64) *sharedEvent { return r.events[i%uint64(len(r.events))] }

// oldest returns the index of the first event that is still there.
func (r *eventRing) oldest() uint64 { return r.n - min(r.n, uint64(len(r.events))) }

// after returns the index of the first event with a number beyond seq, and how many with
// such a number may have been there before.
func (r *eventRing) after(seq uint64) (index, lost uint64) {
	index = r.oldest()
	if r.evicted > seq {
		lost = min(index, r.evicted-seq)
	}
	for low, high := index, r.n; low < high; {
		if mid := low + (high-low)/2; r.at(mid).Seq <= seq {
			low = mid + 1
			index = low
		} else {
			high = mid
		}
	}
	return index, lost
}

func newHistory(sw *vswitch.Switch) *history {
	h := &history{sub: sw.Subscribe(), done: make(chan struct{})}
	h.rings[0].events = make([]*sharedEvent, rareEvents)
	h.rings[1].events = make([]*sharedEvent, frequentEvents)
	go h.run()
	return h
}

// run adds events until the switch or the history is closed.
func (h *history) run() {
	defer close(h.done)
	for {
		e, err := h.sub.Next(context.Background())
		h.mu.Lock()
		if err != nil {
			h.ended = err
		} else {
			h.add(e)
		}
		if h.changed != nil {
			close(h.changed)
			h.changed = nil
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// add adds e; mu is held.
func (h *history) add(e vswitch.Event) {
	ring := 0
	switch e.Kind {
	case vswitch.EventLearned, vswitch.EventMoved, vswitch.EventAged, vswitch.EventForgotten, vswitch.EventDropped:
		ring = 1
	}
	h.seq = e.Seq
	h.rings[ring].add(&sharedEvent{Event: e})
}

func (h *history) close() {
	_ = h.sub.Close() // it may have been closed before
	<-h.done
}

// last returns the number of the last event.
func (h *history) last() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seq
}

// A cursor is how far one watcher has come.
type cursor struct {
	history *history
	want    func(*vswitch.Event) bool
	next    [2]uint64 // indices in the rings
	lost    uint64    // events that were not there any more
}

// cursor returns one that begins behind the event with the number after, or if that is nil,
// with the next event.
func (h *history) cursor(after *uint64, want func(*vswitch.Event) bool) *cursor {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &cursor{history: h, want: want}
	for i := range h.rings {
		r := &h.rings[i]
		switch {
		case after == nil:
			c.next[i] = r.n
		case *after == 0 || *after > h.seq: // all, or a number of another switch
			c.next[i] = r.oldest()
		default:
			var lost uint64
			c.next[i], lost = r.after(*after)
			c.lost += lost
		}
	}
	return c
}

// read appends the events that there are for c to events, and waits until there is at
// least one. An event of kind [vswitch.EventLost] with the number 0 says what c has missed.
func (c *cursor) read(ctx context.Context, events eventList) (eventList, error) {
	for {
		var changed chan struct{}
		events, changed = c.take(events)
		if len(events) > 0 {
			return events, nil
		}
		if changed == nil {
			if err := c.end(); err != nil {
				return nil, err
			}
			continue // only events that are not wanted
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// end returns why there are no more events, or nil if there are.
func (c *cursor) end() error {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	if !c.behind() {
		return c.history.ended
	}
	return nil
}

// behind reports whether there are events that c has not looked at; the history's mu is held.
func (c *cursor) behind() bool {
	return c.next[0] < c.history.rings[0].n || c.next[1] < c.history.rings[1].n
}

// take is read without waiting. If c has come to the end and nothing is there for it,
// changed is closed at the next event; it is nil if there will be none.
func (c *cursor) take(events eventList) (_ eventList, changed chan struct{}) {
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.rings {
		if oldest := h.rings[i].oldest(); c.next[i] < oldest {
			c.lost += oldest - c.next[i]
			c.next[i] = oldest
		}
	}
	for range eventsAtOnce {
		r := c.first()
		if r < 0 {
			break
		}
		e := h.rings[r].at(c.next[r])
		c.next[r]++
		if e.Kind == vswitch.EventLost || c.want(&e.Event) {
			events = append(events, e)
		}
	}
	if c.lost > 0 {
		lost := &sharedEvent{Event: vswitch.Event{Kind: vswitch.EventLost, Port: vswitch.AllPorts, Count: c.lost}}
		events, c.lost = slices.Insert(events, 0, lost), 0
	}
	if len(events) == 0 && !c.behind() && h.ended == nil {
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		changed = h.changed
	}
	return events, changed
}

// first returns the ring that has the next event for c, or -1 if none has; the history's
// mu is held.
func (c *cursor) first() int {
	a, b := &c.history.rings[0], &c.history.rings[1]
	moreA, moreB := c.next[0] < a.n, c.next[1] < b.n
	switch {
	case moreA && moreB && a.at(c.next[0]).Seq < b.at(c.next[1]).Seq, moreA && !moreB:
		return 0
	case moreB:
		return 1
	}
	return -1
}
