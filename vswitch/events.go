// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-vde/sdk/frame"
)

// An EventKind says what an [Event] is about.
type EventKind int

// Kinds of events.
const (
	EventAttached   EventKind = iota // an endpoint came to a port
	EventDetached                    // an endpoint ended; Cause is the reason
	EventPortUp                      // a port got its first endpoint
	EventPortDown                    // a port lost its last endpoint
	EventLearned                     // the FDB got an entry
	EventMoved                       // an address of the FDB was seen on another port; OtherPort is the one before
	EventAged                        // an entry of the FDB was removed for its age
	EventForgotten                   // an entry of the FDB was removed for another reason
	EventBlocked                     // a port was blocked because of a loop; OtherPort is where the probe came from
	EventUnblocked                   // a port was opened again; Cause is the reason
	EventLinkUp                      // the link of an endpoint came up
	EventLinkDown                    // the link of an endpoint went down and will be opened again; Cause is the reason
	EventConfigured                  // the configuration of a port, or with the port [AllPorts] that of the switch, was changed
	EventMirrored                    // frames of a port are copied to OtherPort
	EventUnmirrored                  // they no longer are
	EventDropped                     // Count frames were dropped at a port since the last such event, for Cause
	EventLost                        // Count events are missing, because they came too fast
	numEventKinds
)

var eventKindNames = [numEventKinds]string{
	"attached", "detached", "port-up", "port-down", "learned", "moved", "aged", "forgotten", "blocked", "unblocked",
	"link-up", "link-down", "configured", "mirrored", "unmirrored", "dropped", "lost",
}

// String returns the name of the kind, such as "attached".
func (k EventKind) String() string {
	if k < 0 || k >= numEventKinds {
		return fmt.Sprintf("EventKind(%d)", int(k))
	}
	return eventKindNames[k]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *EventKind) UnmarshalText(b []byte) error {
	i := slices.Index(eventKindNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown kind of event %q, want one of %s", b, strings.Join(eventKindNames[:], ", "))
	}
	*k = EventKind(i)
	return nil
}

// AllPorts stands for the port in an [Event] about all of them.
const AllPorts = -1

// An Event is something that happened in a switch. Fields that a kind does not name
// are zero.
type Event struct {
	// Seq numbers the events of a switch in their order. Events that a [Subscription] does
	// not ask for leave gaps; what is missing is said by an event of the kind [EventLost],
	// which has the number of the last one before those that follow.
	Seq  uint64
	Time time.Time
	Kind EventKind
	Port int // AllPorts if it concerns the switch

	// Of an endpoint that is attached or detached, or whose link changes.
	Endpoint     uint64 `json:",omitempty"` // Endpoint.ID
	EndpointKind Kind   `json:",omitempty"` // Endpoint.Kind
	Description  string `json:",omitempty"` // Endpoint.Description

	// Of an entry of the FDB.
	MAC  frame.MAC `json:",omitzero"`
	VLAN uint16    `json:",omitempty"`

	OtherPort int    `json:",omitempty"` // see EventMoved, EventBlocked, EventMirrored
	Cause     string `json:",omitempty"` // see EventDetached, EventDropped: in/vlan, out/full and so on, as in InDropped.Causes
	Count     uint64 `json:",omitempty"` // see EventDropped, EventLost
}

const (
	// eventRingLen is how many events are kept for subscribers that are behind.
	eventRingLen = 8192

	// Strangers can make entries of the FDB come and go as fast as they send. Of these
	// events no more than fdbEventBurst are kept per fdbEventPause, and the number of the
	// others; what forwarding pays for events is bounded so.
	fdbEventBurst = eventRingLen / 4
	fdbEventPause = 50 * time.Millisecond

	// eventWakePause is the shortest time between two wakes of subscribers.
	eventWakePause = time.Millisecond

	// dropEventPause is how often dropped frames are looked for.
	dropEventPause = time.Second

	// eventFetchLen is how many events a subscriber takes at a time, with the lock held.
	eventFetchLen = 64
)

// fdbEventKinds are the kinds that strangers can cause at any rate.
const fdbEventKinds = 1<<EventLearned | 1<<EventMoved | 1<<EventAged | 1<<EventForgotten

// A Subscription gets the events of a switch. Close must be called.
type Subscription struct {
	log   *eventLog
	kinds uint32        // a set of EventKind
	wake  chan struct{} // has one element if there may be something new
	done  chan struct{} // closed by Close

	next   uint64 // guarded by log.mu; of the first event that was not fetched yet
	lost   uint64 // guarded by log.mu; of log.lost, what it knows about
	closed bool   // guarded by log.mu

	mu      sync.Mutex
	fetched []Event // guarded by mu
	taken   int     // guarded by mu; how many of fetched were returned
}

// Subscribe returns a subscription for the events of the given kinds that happen from now
// on, or of all kinds if there are none. [EventLost] is always one of them. Forwarding never
// waits for a subscriber: one that is thousands of events behind loses the oldest.
func (sw *Switch) Subscribe(kinds ...EventKind) *Subscription {
	s := &Subscription{log: &sw.events, wake: make(chan struct{}, 1), done: make(chan struct{})}
	if len(kinds) == 0 {
		s.kinds = 1<<numEventKinds - 1
	}
	for _, k := range kinds {
		if k >= 0 && k < numEventKinds {
			s.kinds |= 1 << k
		}
	}
	sw.events.subscribe(s)
	return s
}

// Next returns the next event, and waits for it until ctx ends. After the last event of a
// switch that was closed it returns [ErrClosed], and after Close [net.ErrClosed].
// Several goroutines may call it; each event goes to one of them.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		e, ok, err := s.take()
		if ok || err != nil {
			return e, err
		}
		select {
		case <-s.wake:
		case <-s.done:
			return Event{}, net.ErrClosed
		case <-s.log.ended:
			if e, ok, err = s.take(); ok || err != nil {
				return e, err
			}
			return Event{}, ErrClosed
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

// take returns the next event if there is one.
func (s *Subscription) take() (e Event, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for more := true; s.taken == len(s.fetched); {
		if !more {
			return Event{}, false, nil
		}
		s.taken = 0
		if s.fetched, more, err = s.log.fetch(s, s.fetched[:0]); err != nil {
			return Event{}, false, err
		}
	}
	e = s.fetched[s.taken]
	if s.taken++; s.taken < len(s.fetched) {
		s.signal() // there may be another reader
	}
	return e, true, nil
}

// signal tells one reader that there may be something new.
func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Close ends the subscription, and a Next that waits. It returns nil, or [net.ErrClosed]
// if it was called before.
func (s *Subscription) Close() error {
	if !s.log.unsubscribe(s) {
		return net.ErrClosed
	}
	close(s.done)
	return nil
}
