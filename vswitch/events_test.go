// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// events returns the events that s has, and those that come while nothing else happens in
// the bubble.
func events(t *testing.T, s *vswitch.Subscription) (list []vswitch.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	for {
		e, err := s.Next(ctx)
		if err != nil {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			return list
		}
		list = append(list, e)
	}
}

// wantEvents checks what has happened since the last call, but for numbers and times.
func wantEvents(t *testing.T, when string, s *vswitch.Subscription, want ...vswitch.Event) {
	t.Helper()
	got := events(t, s)
	for i := range got {
		if got[i].Time.IsZero() || got[i].Seq == 0 {
			t.Errorf("%s: event without time or number: %+v", when, got[i])
		}
		got[i].Time, got[i].Seq = time.Time{}, 0
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: events\n%+v, want\n%+v", when, got, want)
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{9: {VLAN: 7}}})
		defer sw.Close()
		s := sw.Subscribe()
		defer s.Close()
		a, err := sw.Attach(vde.WithPort(1), vde.WithDescription("a"))
		if err != nil {
			t.Fatal(err)
		}
		endpoint := func(kind vswitch.EventKind, cause string) vswitch.Event {
			return vswitch.Event{Kind: kind, Port: 1, Endpoint: 1, EndpointKind: vswitch.KindInProcess, Description: "a", Cause: cause}
		}
		wantEvents(t, "attached", s, vswitch.Event{Kind: vswitch.EventPortUp, Port: 1}, endpoint(vswitch.EventAttached, ""))

		write(t, a, testFrame(frame.Broadcast(), macB, 60, 1))
		b, err := sw.Attach(vde.WithPort(2), vde.WithDescription("b"))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		write(t, b, testFrame(frame.Broadcast(), macB, 60, 1))
		learned := vswitch.Event{Kind: vswitch.EventLearned, Port: 1, MAC: macB}
		moved := vswitch.Event{Kind: vswitch.EventMoved, Port: 2, OtherPort: 1, MAC: macB}
		wantEvents(t, "moved", s, learned,
			vswitch.Event{Kind: vswitch.EventPortUp, Port: 2},
			vswitch.Event{Kind: vswitch.EventAttached, Port: 2, Endpoint: 2, EndpointKind: vswitch.KindInProcess, Description: "b"}, moved)
		time.Sleep(2 * vswitch.DefaultAgeingTime)
		wantEvents(t, "aged", s, vswitch.Event{Kind: vswitch.EventAged, Port: 2, MAC: macB})

		write(t, a, testFrame(frame.Broadcast(), macB, 60, 1))
		sw.FlushFDB()
		forgotten := vswitch.Event{Kind: vswitch.EventForgotten, Port: 1, MAC: macB}
		wantEvents(t, "flushed", s, learned, forgotten)

		err = errors.Join(sw.Mirror(1, 2), sw.Mirror(1, 2), sw.Unmirror(1, 2), sw.Unmirror(1, 2),
			sw.SetPort(3, vswitch.PortConfig{}), sw.ResetPort(3), sw.SetAgeingTime(time.Minute), sw.SetNumPorts(10))
		if err != nil {
			t.Fatal(err)
		}
		sw.SetHub(true)
		sw.SetHub(true)
		sw.SetHub(false)
		all := vswitch.Event{Kind: vswitch.EventConfigured, Port: vswitch.AllPorts}
		three := vswitch.Event{Kind: vswitch.EventConfigured, Port: 3}
		wantEvents(t, "changed", s,
			vswitch.Event{Kind: vswitch.EventMirrored, Port: 1, OtherPort: 2}, vswitch.Event{Kind: vswitch.EventUnmirrored, Port: 1, OtherPort: 2},
			three, three, all, all, all, all)

		write(t, a, tagged(testFrame(frame.Broadcast(), macB, 60, 1), 5))
		write(t, a, tagged(testFrame(frame.Broadcast(), macB, 60, 1), 5))
		time.Sleep(2 * time.Second)
		wantEvents(t, "dropped", s, vswitch.Event{Kind: vswitch.EventDropped, Port: 1, Cause: "in/vlan", Count: 2})

		write(t, a, testFrame(frame.Broadcast(), macB, 60, 1))
		a.Close()
		wantEvents(t, "closed", s, learned, forgotten, endpoint(vswitch.EventDetached, net.ErrClosed.Error()), vswitch.Event{Kind: vswitch.EventPortDown, Port: 1})
	})
}

// Events of a link that goes down and comes up, and of a port that is blocked.
func TestEventsOfLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		s := sw.Subscribe(vswitch.EventLinkUp, vswitch.EventLinkDown, vswitch.EventBlocked, vswitch.EventUnblocked)
		defer s.Close()
		a, b := linktest.Pipe(64)
		up := make(chan struct{}, 1)
		l := redialed(t, a, up)
		if _, err := sw.AttachLink(l, vswitch.LinkConfig{Port: 4, Uplink: true, Description: "far"}); err != nil {
			t.Fatal(err)
		}
		of := vswitch.Event{Port: 4, Endpoint: 1, EndpointKind: vswitch.KindLink, Description: "far"}
		isUp, down := of, of
		isUp.Kind, down.Kind, down.Cause = vswitch.EventLinkUp, vswitch.EventLinkDown, vde.ErrHangup.Error()
		wantEvents(t, "up", s, isUp)
		b.Close()
		wantEvents(t, "down", s, down)
		up <- struct{}{}
		time.Sleep(time.Minute)
		wantEvents(t, "up again", s, isUp)
	})
}

// redialed returns a link that is l at first, and another one for each element of up.
func redialed(t *testing.T, l link.Link, up <-chan struct{}) link.Link {
	t.Helper()
	first := true
	r, err := link.Redial(t.Context(), func(ctx context.Context) (link.Link, error) {
		if first {
			first = false
			return l, nil
		}
		select {
		case <-up:
			a, b := linktest.Pipe(64)
			t.Cleanup(func() { b.Close() })
			return a, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}, link.RedialPolicy{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSubscriptionEnds(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	s, closed := sw.Subscribe(vswitch.EventPortDown), sw.Subscribe()
	attach(t, sw, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := s.Next(ctx); err == nil || err.Error() != "enough" {
		t.Errorf("context ended: %v", err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for {
			if _, err := closed.Next(t.Context()); err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("closed meanwhile: %v", err)
				}
				return
			}
		}
	})
	if err := closed.Close(); err != nil {
		t.Error(err)
	}
	waiting.Wait()
	if err := closed.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed twice: %v", err)
	}
	sw.Close()
	if e, err := s.Next(t.Context()); err != nil || e.Kind != vswitch.EventPortDown {
		t.Errorf("after the switch was closed: %+v, %v", e, err)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("after the last event: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	late := sw.Subscribe()
	if _, err := late.Next(t.Context()); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("of a closed switch: %v", err)
	}
	late.Close()
}

// A flood of new addresses makes no more events than are allowed, and how many there would
// have been is known. A subscriber that reads nothing learns how many it has missed.
func TestEventFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{MaxFDBEntries: 1000})
		defer sw.Close()
		c := attach(t, sw, 1)
		s := sw.Subscribe(vswitch.EventLearned, vswitch.EventForgotten)
		slow := sw.Subscribe(vswitch.EventLearned, vswitch.EventForgotten)
		defer s.Close()
		defer slow.Close()
		for range 2 {
			for n := range 4000 {
				write(t, c, testFrame(frame.Broadcast(), frame.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)}, 60, 1))
			}
			sw.FlushFDB()
		}
		time.Sleep(time.Second)
		checkFlood(t, "reads", events(t, s), sw.Stats().FDB.Learned)
		for range 6 { // each makes less than what is kept
			time.Sleep(time.Second)
			for n := range 1000 {
				write(t, c, testFrame(frame.Broadcast(), frame.MAC{2, 0, 0, 1, byte(n >> 8), byte(n)}, 60, 1))
			}
			sw.FlushFDB()
		}
		time.Sleep(time.Second)
		checkFlood(t, "does not read", events(t, slow), sw.Stats().FDB.Learned)
	})
}

// checkFlood checks that the events, with those that are lost, are those of all addresses
// that were learned and forgotten, and that numbers go up.
func checkFlood(t *testing.T, when string, list []vswitch.Event, learned uint64) {
	t.Helper()
	var got, lost, seq uint64
	for _, e := range list {
		if e.Seq < seq || e.Seq == seq && e.Kind != vswitch.EventLost {
			t.Fatalf("%s: event %d follows %d", when, e.Seq, seq)
		}
		seq = e.Seq
		switch e.Kind {
		case vswitch.EventLost:
			lost += e.Count
		case vswitch.EventLearned, vswitch.EventForgotten:
			got++
		default:
			t.Errorf("%s: %+v", when, e)
		}
	}
	if lost == 0 || got+lost != 2*learned {
		t.Errorf("%s: %d events and %d lost, want %d", when, got, lost, 2*learned)
	}
	t.Logf("%s: %d events, %d lost", when, got, lost)
}

func TestEventKinds(t *testing.T) {
	seen := make(map[string]bool)
	for k := vswitch.EventAttached; k <= vswitch.EventLost; k++ {
		b, err := json.Marshal(k)
		if err != nil || seen[string(b)] {
			t.Errorf("%d: %s, %v", int(k), b, err)
		}
		seen[string(b)] = true
		var back vswitch.EventKind
		if err := json.Unmarshal(b, &back); err != nil || back != k {
			t.Errorf("%s is %v, %v", b, back, err)
		}
	}
	var k vswitch.EventKind
	if err := k.UnmarshalText([]byte("plugged")); err == nil || !strings.Contains(err.Error(), "attached") {
		t.Errorf("an unknown kind: %v", err)
	}
}

// Each counter of Stats has a part in Sub, and in Causes.
func TestStatsSub(t *testing.T) {
	var now, before vswitch.Stats
	now.Ports, before.Ports = make([]vswitch.PortStats, 3), make([]vswitch.PortStats, 1)
	for i := range now.Ports {
		now.Ports[i].Port = i + 4
	}
	before.Ports[0].Port = 5
	fill := func(s *vswitch.Stats, n uint64) {
		for _, v := range []any{&s.Monitors, &s.FDB, &s.Serve} {
			setCounters(reflect.ValueOf(v).Elem(), n)
		}
		for i := range s.Ports {
			setCounters(reflect.ValueOf(&s.Ports[i].In).Elem(), n)
			setCounters(reflect.ValueOf(&s.Ports[i].Out).Elem(), n)
		}
	}
	fill(&now, 10)
	fill(&before, 3)
	want := now
	want.Ports = slices.Clone(now.Ports)
	fill(&want, 7)
	want.Ports[0], want.Ports[2] = now.Ports[0], now.Ports[2]
	want.Ports[1].Out.Queued, want.Monitors.Queued, want.FDB.Entries = 10, 10, 10
	if got := now.Sub(before); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
	if len(before.Ports) != 1 || before.Ports[0].In.Frames != 3 || now.Ports[1].In.Frames != 10 {
		t.Error("Sub changed what it was given")
	}
	p := now.Ports[0]
	n := reflect.TypeFor[vswitch.InDropped]().NumField() + reflect.TypeFor[vswitch.OutDropped]().NumField()
	if got := p.In.Dropped.Sum() + p.Out.Dropped.Sum(); got != uint64(10*n) {
		t.Errorf("the sum of %d causes is %d", n, got)
	}
	for name, causes := range map[string]func(func(string, uint64) bool){"in": p.In.Dropped.Causes(), "out": p.Out.Dropped.Causes()} {
		for cause, n := range causes {
			if cause == "" || n != 10 {
				t.Errorf("%s: cause %q is %d", name, cause, n)
			}
		}
	}
}

// setCounters sets all counters in v to n.
func setCounters(v reflect.Value, n uint64) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(n)
		case reflect.Int:
			f.SetInt(int64(min(n, 10)))
		case reflect.Struct:
			setCounters(f, n)
		}
	}
}
