// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-vde/sdk/vswitch"
)

// newTestHistory returns a history with short rings that nothing adds to but the test.
func newTestHistory(rare, frequent int) *history {
	h := &history{}
	h.rings[0].events, h.rings[1].events = make([]*sharedEvent, rare), make([]*sharedEvent, frequent)
	return h
}

// A historyReader reads a history that events are added to.
type historyReader struct {
	t    *testing.T
	rng  *rand.Rand
	h    *history
	c    *cursor
	all  []vswitch.Event // that were added
	got  []vswitch.Event
	lost uint64
}

// add adds an event.
func (r *historyReader) add() {
	seq := uint64(1 + r.rng.IntN(2))
	if len(r.all) > 0 {
		seq += r.all[len(r.all)-1].Seq
	}
	kind := []vswitch.EventKind{vswitch.EventAttached, vswitch.EventLearned, vswitch.EventConfigured}[r.rng.IntN(3)]
	e := vswitch.Event{Seq: seq, Kind: kind, Port: r.rng.IntN(3)}
	r.all = append(r.all, e)
	r.h.add(e)
}

// read takes what there is.
func (r *historyReader) read() {
	events, _ := r.c.take(nil)
	for i, shared := range events {
		e := shared.Event
		if e.Kind == vswitch.EventLost {
			r.lost += e.Count
			if i != 0 || e.Seq != 0 || e.Count == 0 {
				r.t.Fatalf("lost: %v, event %d of the batch", e, i)
			}
			continue
		}
		if len(r.got) > 0 && e.Seq <= r.got[len(r.got)-1].Seq && r.lost == 0 {
			r.t.Fatalf("event %d after %d", e.Seq, r.got[len(r.got)-1].Seq)
		}
		if !slices.Contains(r.all, e) {
			r.t.Fatalf("event %v was never added", e)
		}
		r.got = append(r.got, e)
	}
}

// TestHistory adds events at random and reads them at random, and checks each reader
// against the list of all events: what it got is in order, and with what it is told to have
// lost, all there was.
func TestHistory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		r := &historyReader{t: t, rng: rng, h: newTestHistory(1+rng.IntN(5), 1+rng.IntN(9))}
		for range rng.IntN(30) {
			r.add()
		}
		var after *uint64
		expected := 0 // of all, those that the reader should get
		switch choice := rng.IntN(3); {
		case choice == 0 && len(r.all) > 0:
			after = &r.all[rng.IntN(len(r.all))].Seq
			expected = len(r.all) - slices.IndexFunc(r.all, func(e vswitch.Event) bool { return e.Seq == *after }) - 1
		case choice == 1:
			after = new(uint64) // all that is there
			expected = int(r.h.rings[0].n-r.h.rings[0].oldest()) + int(r.h.rings[1].n-r.h.rings[1].oldest())
		}
		exact := after == nil || *after == 0
		r.c = r.h.cursor(after, func(*vswitch.Event) bool { return true })
		for range rng.IntN(6) {
			for range rng.IntN(8) {
				r.add()
				expected++
			}
			r.read()
		}
		for r.c.behind() {
			r.read()
		}
		r.read()
		// Of those that were gone when it began, only a bound is known.
		if n := len(r.got) + int(r.lost); n < expected || exact && n != expected {
			t.Fatalf("got %d and lost %d of %d, after %v", len(r.got), r.lost, expected, after)
		}
	}
}

// TestHistoryFilter checks that what is not wanted does not end a wait, and the end of the
// events.
func TestHistoryFilter(t *testing.T) {
	h := newTestHistory(4, 4)
	c := h.cursor(nil, func(e *vswitch.Event) bool { return e.Kind == vswitch.EventAttached })
	h.add(vswitch.Event{Seq: 1, Kind: vswitch.EventLearned})
	h.add(vswitch.Event{Seq: 2, Kind: vswitch.EventLost, Count: 7})
	if events, err := c.read(context.Background(), nil); err != nil || len(events) != 1 || events[0].Count != 7 {
		t.Errorf("read %v, %v, want what was lost", events, err)
	}
	h.add(vswitch.Event{Seq: 3, Kind: vswitch.EventLearned})
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := c.read(ctx, nil); !errors.Is(err, stop) {
		t.Errorf("read returned %v", err)
	}
	h.add(vswitch.Event{Seq: 4, Kind: vswitch.EventAttached})
	h.ended = vswitch.ErrClosed
	if events, err := c.read(context.Background(), nil); err != nil || len(events) != 1 {
		t.Errorf("read %v, %v, want the last event", events, err)
	}
	if _, err := c.read(context.Background(), nil); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("read returned %v, want ErrClosed", err)
	}
}

// TestHistoryRareStay checks that events which strangers can cause at any rate push out no
// others.
func TestHistoryRareStay(t *testing.T) {
	h := newTestHistory(8, 8)
	h.add(vswitch.Event{Seq: 1, Kind: vswitch.EventAttached})
	for i := range uint64(1000) {
		h.add(vswitch.Event{Seq: 2 + i, Kind: vswitch.EventLearned})
	}
	events, _ := h.cursor(new(uint64), func(*vswitch.Event) bool { return true }).take(nil)
	if len(events) != 9 || events[0].Kind != vswitch.EventAttached {
		t.Errorf("the history is %v", events)
	}
}
