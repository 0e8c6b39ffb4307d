// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/frame"
)

// A tableKey is a MAC address in the upper 48 bits and a VLAN in the lower 16:
// one word, which is what maps are fastest with.
type tableKey uint64

// keyAt returns the key of the address at the front of b, which has two bytes
// more, in VLAN v.
func keyAt(b []byte, v uint16) tableKey {
	return tableKey(binary.BigEndian.Uint64(b)&^0xffff | uint64(v))
}

func keyOf(s Station) tableKey {
	var b [8]byte
	copy(b[:], s.MAC[:])
	return keyAt(b[:], s.VLAN)
}

func (k tableKey) station() Station {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(k))
	return Station{MAC: frame.MAC(b[:6]), VLAN: uint16(k)}
}

// isGroup reports whether the address is a multicast or broadcast address.
func (k tableKey) isGroup() bool { return k>>56&1 != 0 }

// A table knows behind which port each station is.
//
// Readers hold mu for reading during the look-ups of one batch; each look-up
// costs one map access. Entries are removed by the one timer there is, which
// runs while there are entries that age, and only when one may have expired. An
// expired entry that is still there counts as absent.
type table struct {
	start   time.Time
	age     int64 // nanoseconds; 0: entries do not age
	grain   int64 // how exact an entry's time is
	max     int
	stopped bool // guarded by mu

	mu       sync.RWMutex
	stations map[tableKey]*station // guarded by mu
	timer    *time.Timer           // guarded by mu; armed while there are entries that age

	learned, moved, aged, full, pinned atomic.Uint64
}

// A station is an entry of the table.
type station struct {
	key  tableKey
	port *port        // guarded by table.mu
	seen atomic.Int64 // nanoseconds since start
	pin  bool         // written before the entry is published

	next, prev *station // neighbors in port.stations; guarded by table.mu
}

func (t *table) init(age time.Duration, max int) {
	t.start, t.max = time.Now(), max
	t.stations = make(map[tableKey]*station)
	if age > 0 {
		t.age = int64(age)
		t.grain = t.age / 256
	}
}

// now returns the time as entries store it.
func (t *table) now() int64 { return int64(time.Since(t.start)) }

// expired reports whether s has not been seen for the age.
func (t *table) expired(s *station, now int64) bool {
	return t.age > 0 && !s.pin && now-s.seen.Load() > t.age+t.grain
}

// lookup returns the port of k, or nil; t.mu is held for reading.
func (t *table) lookup(k tableKey, now int64) *port {
	if s := t.stations[k]; s != nil && !t.expired(s, now) {
		return s.port
	}
	return nil
}

// refresh reports whether k is known to be behind p, and if so notes that it has
// been seen; t.mu is held for reading. Notes are taken to a 256th of the age, so
// that busy stations do not keep writing to memory that all processors read.
func (t *table) refresh(k tableKey, p *port, now int64) bool {
	s := t.stations[k]
	if s == nil || s.port != p {
		return false
	}
	if seen := s.seen.Load(); now-seen > t.grain {
		if t.expired(s, now) {
			return false
		}
		s.seen.Store(now)
	}
	return true
}

// learn notes that k is behind p and reports whether p may be used by it.
func (t *table) learn(k tableKey, p *port, now int64) bool {
	conf := p.conf.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.plugged {
		return true // its last cable was pulled meanwhile
	}
	s := t.stations[k]
	if s != nil && t.expired(s, now) {
		t.remove(s)
		t.aged.Add(1)
		s = nil
	}
	switch {
	case s != nil && s.port == p:
		s.seen.Store(now)
		return true
	case s != nil && s.pin:
		t.pinned.Add(1)
		return false
	case !t.admits(p, conf, now):
		return false
	case s != nil:
		s.port.unlink(s)
		p.link(s)
		s.seen.Store(now)
		t.moved.Add(1)
		return true
	case len(t.stations) >= t.max:
		t.full.Add(1)
		return true
	}
	s = &station{key: k}
	s.seen.Store(now)
	t.insert(s, p)
	t.learned.Add(1)
	return true
}

// admits reports whether one more station may be behind p; t.mu is held.
func (t *table) admits(p *port, conf *portConf, now int64) bool {
	switch {
	case conf.MaxStations == 0:
		return true
	case conf.MaxStations < 0:
		return false
	case p.numStations < conf.MaxStations:
		return true
	}
	t.sweepPort(p, func(s *station) bool { return t.expired(s, now) })
	return p.numStations < conf.MaxStations
}

// insert publishes s behind p; t.mu is held.
func (t *table) insert(s *station, p *port) {
	t.stations[s.key] = s
	p.link(s)
	if t.age > 0 && !s.pin && t.timer == nil && !t.stopped {
		t.timer = time.AfterFunc(time.Duration(t.age+2*t.grain), t.sweep)
	}
}

// remove deletes s; t.mu is held.
func (t *table) remove(s *station) {
	delete(t.stations, s.key)
	s.port.unlink(s)
}

// sweepPort removes those entries of p that gone says; t.mu is held.
func (t *table) sweepPort(p *port, gone func(*station) bool) {
	for s := p.stations; s != nil; {
		next := s.next
		if gone(s) {
			t.remove(s)
		}
		s = next
	}
}

// sweep removes what has expired and arms the timer for the next time that
// something may, which is no sooner than after a 16th of the age.
func (t *table) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	oldest := int64(-1)
	for _, s := range t.stations {
		switch {
		case s.pin:
		case t.expired(s, now):
			t.remove(s)
			t.aged.Add(1)
		case oldest < 0 || s.seen.Load() < oldest:
			oldest = s.seen.Load()
		}
	}
	if oldest < 0 || t.stopped {
		t.timer = nil
		return
	}
	t.timer.Reset(time.Duration(max(oldest+t.age+2*t.grain-now, t.age/16, 1)))
}

// stop stops the timer for good.
func (t *table) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// plug tells whether p has a cable; when it has none any more, what was learned
// behind it is forgotten.
func (t *table) plug(p *port, plugged bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.plugged = plugged
	if !plugged {
		t.sweepPort(p, func(s *station) bool { return !s.pin })
	}
}

// configure makes p's entries those that conf allows.
func (t *table) configure(p *port, conf *portConf) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweepPort(p, func(s *station) bool { return s.pin || !conf.member(s.key.station().VLAN) })
	for _, st := range conf.Stations {
		k := keyOf(st)
		if old := t.stations[k]; old != nil {
			t.remove(old)
		}
		t.insert(&station{key: k, pin: true}, p)
	}
	if conf.MaxStations != 0 {
		left := max(conf.MaxStations, len(conf.Stations), 0) // the longest known stay
		for p.numStations > left {
			last := p.stations
			for s := last; s != nil; s = s.next {
				if !s.pin {
					last = s
					break
				}
			}
			if last.pin {
				break
			}
			t.remove(last)
		}
	}
}

// link and unlink keep the list of a port's stations; table.mu is held.
func (p *port) link(s *station) {
	s.port, s.prev, s.next = p, nil, p.stations
	if s.next != nil {
		s.next.prev = s
	}
	p.stations = s
	p.numStations++
}

func (p *port) unlink(s *station) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		p.stations = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
	p.numStations--
}

// A TableEntry is one station that the switch knows.
type TableEntry struct {
	Station
	Port  int
	Age   time.Duration // since its last frame, to a 256th of the age at which it is forgotten
	Fixed bool          // from PortConfig.Stations
}

// Table returns the stations that the switch knows, sorted by VLAN and MAC.
func (sw *Switch) Table() []TableEntry {
	t := &sw.table
	t.mu.RLock()
	now := t.now()
	list := make([]TableEntry, 0, len(t.stations))
	for k, s := range t.stations {
		if t.expired(s, now) {
			continue
		}
		e := TableEntry{Station: k.station(), Port: s.port.num, Fixed: s.pin}
		if !s.pin {
			e.Age = time.Duration(max(now-s.seen.Load(), 0))
		}
		list = append(list, e)
	}
	t.mu.RUnlock()
	slices.SortFunc(list, func(a, b TableEntry) int {
		if a.VLAN != b.VLAN {
			return int(a.VLAN) - int(b.VLAN)
		}
		return a.MAC.Compare(b.MAC)
	})
	return list
}
