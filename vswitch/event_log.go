// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

// An eventLog holds the last events while there are subscribers. What happens is added to
// it with any lock held; its own is held for some hundred nanoseconds at a time. One
// goroutine wakes the subscribers.
type eventLog struct {
	sw      *Switch
	wanted  atomic.Uint32 // kinds that a subscriber asks for
	fdbRoom atomic.Int64  // events of fdbEventKinds that may be added before the next refill
	fdbLost atomic.Uint64 // those that there was no room for since then
	kick    chan struct{} // has one element if something was added
	ended   chan struct{} // closed when nothing is added any more
	endOnce sync.Once

	lifetime sync.Mutex    // held while the goroutine is started or ended
	stop     chan struct{} // guarded by lifetime; ends the goroutine, nil if there is none
	done     chan struct{} // guarded by lifetime; closed when it has ended

	dropsMu sync.Mutex
	dropped *Stats // guarded by dropsMu; what was added as events, nil while nobody asks for it

	mu   sync.Mutex
	ring []Event                    // guarded by mu; that with the number n is at n modulo the length
	seq  uint64                     // guarded by mu; of the last event
	lost uint64                     // guarded by mu; sum of fdbLost
	subs map[*Subscription]struct{} // guarded by mu
}

func (l *eventLog) init(sw *Switch) {
	l.sw = sw
	l.kick, l.ended = make(chan struct{}, 1), make(chan struct{})
	l.subs = make(map[*Subscription]struct{})
}

// wants reports whether anybody asks for events of kind k.
func (l *eventLog) wants(k EventKind) bool { return l.wanted.Load()&(1<<k) != 0 }

// add adds e, whose number and time it sets, if anybody asks for it.
func (l *eventLog) add(e Event) {
	if !l.wants(e.Kind) {
		return
	}
	if fdbEventKinds&(1<<e.Kind) != 0 && l.fdbRoom.Add(-1) < 0 {
		l.fdbLost.Add(1)
		l.wake()
		return
	}
	e.Time = time.Now()
	l.mu.Lock()
	if len(l.subs) > 0 {
		l.seq++
		e.Seq = l.seq
		l.ring[e.Seq%eventRingLen] = e
	}
	l.mu.Unlock()
	l.wake()
}

// wake wakes the goroutine.
func (l *eventLog) wake() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// subscribe adds s, and starts the goroutine for the first one.
func (l *eventLog) subscribe(s *Subscription) {
	l.lifetime.Lock()
	defer l.lifetime.Unlock()
	l.mu.Lock()
	if l.ring == nil {
		l.ring = make([]Event, eventRingLen)
	}
	s.next, s.lost = l.seq+1, l.lost
	l.subs[s] = struct{}{}
	l.update()
	l.mu.Unlock()
	l.addDrops() // those before do not concern s
	if l.stop == nil {
		l.fdbRoom.Store(fdbEventBurst)
		l.stop, l.done = make(chan struct{}), make(chan struct{})
		go l.run(l.stop, l.done)
	}
}

// unsubscribe removes s and reports whether it was there. With the last one it ends the
// goroutine.
func (l *eventLog) unsubscribe(s *Subscription) bool {
	l.lifetime.Lock()
	defer l.lifetime.Unlock()
	l.mu.Lock()
	_, ok := l.subs[s]
	delete(l.subs, s)
	s.closed = true
	l.update()
	last := len(l.subs) == 0
	if last {
		l.ring = nil
	}
	l.mu.Unlock()
	if last && l.stop != nil {
		close(l.stop)
		<-l.done
		l.stop = nil
	}
	return ok
}

// update says which kinds are wanted; mu is held.
func (l *eventLog) update() {
	kinds := uint32(0)
	for s := range l.subs {
		kinds |= s.kinds
	}
	l.wanted.Store(kinds)
}

// end says that nothing is added any more. Subscribers get what is there.
func (l *eventLog) end() {
	l.endOnce.Do(func() {
		l.addDrops()
		close(l.ended)
	})
}

// fetch appends to events some that s has not had, of its kinds, and reports whether
// there may be more.
func (l *eventLog) fetch(s *Subscription, events []Event) (_ []Event, more bool, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.closed {
		return nil, false, net.ErrClosed
	}
	var lost uint64
	if oldest := l.seq + 1 - min(l.seq, eventRingLen); s.next < oldest {
		// Some of them may be of kinds that s does not ask for. That is not known any more.
		lost = oldest - s.next
		s.next = oldest
	}
	if s.kinds&fdbEventKinds != 0 {
		lost += l.lost - s.lost
		s.lost = l.lost
	}
	if lost > 0 {
		events = append(events, Event{Seq: s.next - 1, Time: time.Now(), Kind: EventLost, Port: AllPorts, Count: lost})
	}
	for range eventFetchLen {
		if s.next > l.seq {
			return events, false, nil
		}
		if e := &l.ring[s.next%eventRingLen]; s.kinds&(1<<e.Kind) != 0 {
			events = append(events, *e)
		}
		s.next++
	}
	return events, true, nil
}

// run wakes the subscribers when there is something new, at intervals, and looks for
// dropped frames, until stop is closed or nothing more is added.
func (l *eventLog) run(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	wake := time.NewTimer(0) // when the subscribers are woken next
	wake.Stop()
	defer wake.Stop()
	refill := time.NewTicker(fdbEventPause)
	refill.Stop()
	defer refill.Stop()
	drops := time.NewTicker(dropEventPause)
	defer drops.Stop()
	armed, busy := false, false
	for {
		select {
		case <-stop:
			return
		case <-l.ended:
			return
		case <-l.kick:
			if !armed {
				wake.Reset(eventWakePause)
				armed = true
			}
			if !busy {
				refill.Reset(fdbEventPause)
				busy = true
			}
		case <-wake.C:
			armed = false
			l.signal()
		case <-refill.C:
			if l.refill() {
				refill.Stop()
				busy = false
			}
		case <-drops.C:
			l.addDrops()
		}
	}
}

// signal wakes all subscribers.
func (l *eventLog) signal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.subs {
		s.signal()
	}
}

// refill makes room for events about the FDB, and says how many there was no room for. It
// reports whether there were none at all.
func (l *eventLog) refill() (idle bool) {
	if n := l.fdbLost.Swap(0); n > 0 {
		l.mu.Lock()
		l.lost += n
		l.mu.Unlock()
		l.signal()
	}
	return l.fdbRoom.Swap(fdbEventBurst) == fdbEventBurst
}

// addDrops adds the frames dropped since the last call, if somebody asks for them.
func (l *eventLog) addDrops() {
	l.dropsMu.Lock()
	defer l.dropsMu.Unlock()
	if !l.wants(EventDropped) {
		l.dropped = nil
		return
	}
	before, now := l.dropped, l.sw.Stats()
	l.dropped = &now
	if before == nil {
		return
	}
	for _, p := range now.Sub(*before).Ports {
		for cause, n := range p.In.Dropped.Causes() {
			l.addDrop(p.Port, "in/"+cause, n)
		}
		for cause, n := range p.Out.Dropped.Causes() {
			l.addDrop(p.Port, "out/"+cause, n)
		}
	}
}

func (l *eventLog) addDrop(port int, cause string, n uint64) {
	if n > 0 {
		l.add(Event{Kind: EventDropped, Port: port, Cause: cause, Count: n})
	}
}

// fdbEvents are the kinds of changes of the FDB.
var fdbEvents = [...]EventKind{
	fdb.Learned: EventLearned, fdb.Moved: EventMoved, fdb.Aged: EventAged, fdb.Forgotten: EventForgotten,
}

// fdbChanged is called by the FDB with its lock held.
func (l *eventLog) fdbChanged(c fdb.Change, k fdb.Key, at, before *fdb.Port[*port]) {
	kind := fdbEvents[c]
	if !l.wants(kind) {
		return
	}
	e := Event{Kind: kind, Port: at.Owner.num, MAC: k.MAC(), VLAN: k.VLAN()}
	if before != nil {
		e.OtherPort = before.Owner.num
	}
	l.add(e)
}

// event returns an event about the endpoint.
func (e *endpoint) event(kind EventKind, cause error) Event {
	ev := Event{
		Kind: kind, Port: e.port.num,
		Endpoint: e.info.ID, EndpointKind: e.info.Kind, Description: e.info.Description,
	}
	if cause != nil {
		ev.Cause = cause.Error()
	}
	return ev
}
