// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Table is a forwarding database whose ports belong to values of type P.
//
// Readers hold the lock for reading during the look-ups of one batch; each
// look-up costs one map access. Entries are removed by the one timer there is,
// which runs while there are entries that age, and only when one may have
// expired. An expired entry that is still there counts as absent.
type Table[P any] struct {
	start      time.Time
	ageing     int64 // nanoseconds; 0: entries do not age
	resolution int64 // of an entry's time
	limit      int

	mu      sync.RWMutex
	stopped bool              // guarded by mu
	entries map[Key]*entry[P] // guarded by mu
	timer   *time.Timer       // guarded by mu; armed while there are entries that age

	learned, moved, aged, full, staticMoves atomic.Uint64
}

// An entry says which port leads to a key.
type entry[P any] struct {
	key    Key
	port   *Port[P]     // guarded by Table.mu
	seen   atomic.Int64 // nanoseconds since Table.start
	static bool         // written before the entry is published

	next, prev *entry[P] // neighbors in Port.first; guarded by Table.mu
}

// New returns an empty table of at most limit entries. Those that are learned are
// kept for the ageing time after they were last seen, for ever if it is negative.
func New[P any](ageing time.Duration, limit int) *Table[P] {
	t := &Table[P]{start: time.Now(), limit: limit, entries: make(map[Key]*entry[P])}
	if ageing > 0 {
		t.ageing = int64(ageing)
		t.resolution = t.ageing / 256
	}
	return t
}

// Now returns the time as the other methods want it.
func (t *Table[P]) Now() int64 { return int64(time.Since(t.start)) }

// RLock begins look-ups: Lookup and Refresh are called before RUnlock.
func (t *Table[P]) RLock() { t.mu.RLock() }

// RUnlock ends look-ups.
func (t *Table[P]) RUnlock() { t.mu.RUnlock() }

// expired reports whether e has not been seen for the ageing time.
func (t *Table[P]) expired(e *entry[P], now int64) bool {
	return t.ageing > 0 && !e.static && now-e.seen.Load() > t.ageing+t.resolution
}

// Lookup returns the owner of the port that leads to k, if it is known; the lock
// is held for reading.
func (t *Table[P]) Lookup(k Key, now int64) (owner P) {
	if e := t.entries[k]; e != nil && !t.expired(e, now) {
		owner = e.port.Owner
	}
	return owner
}

// Refresh reports whether p is known to lead to k, and if so notes that k has
// been seen; the lock is held for reading. Times have a resolution of a 256th of
// the ageing time, so that busy stations do not keep writing to memory that all
// processors read.
func (t *Table[P]) Refresh(k Key, p *Port[P], now int64) bool {
	e := t.entries[k]
	if e == nil || e.port != p {
		return false
	}
	if seen := e.seen.Load(); now-seen > t.resolution {
		if t.expired(e, now) {
			return false
		}
		e.seen.Store(now)
	}
	return true
}

// Learn notes that p leads to k and reports whether k may be behind p.
func (t *Table[P]) Learn(k Key, p *Port[P], now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.active {
		return true // it has lost its last endpoint meanwhile
	}
	e := t.entries[k]
	if e != nil && t.expired(e, now) {
		t.remove(e)
		t.aged.Add(1)
		e = nil
	}
	switch {
	case e != nil && e.port == p:
		e.seen.Store(now)
		return true
	case e != nil && e.static:
		t.staticMoves.Add(1)
		return false
	case !t.admits(p, now):
		return false
	case e != nil:
		e.port.unlink(e)
		p.link(e)
		e.seen.Store(now)
		t.moved.Add(1)
		return true
	case len(t.entries) >= t.limit:
		t.full.Add(1)
		return true
	}
	e = &entry[P]{key: k}
	e.seen.Store(now)
	t.insert(e, p)
	t.learned.Add(1)
	return true
}

// insert publishes e as an entry of p; t.mu is held.
func (t *Table[P]) insert(e *entry[P], p *Port[P]) {
	t.entries[e.key] = e
	p.link(e)
	if t.ageing > 0 && !e.static && t.timer == nil && !t.stopped {
		t.timer = time.AfterFunc(time.Duration(t.ageing+2*t.resolution), t.sweep)
	}
}

// remove deletes e; t.mu is held.
func (t *Table[P]) remove(e *entry[P]) {
	delete(t.entries, e.key)
	e.port.unlink(e)
}

// sweep removes what has expired and arms the timer for the next time that
// something may, which is no sooner than after a 16th of the ageing time.
func (t *Table[P]) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Now()
	oldest := int64(-1)
	for _, e := range t.entries {
		switch {
		case e.static:
		case t.expired(e, now):
			t.remove(e)
			t.aged.Add(1)
		case oldest < 0 || e.seen.Load() < oldest:
			oldest = e.seen.Load()
		}
	}
	if oldest < 0 || t.stopped {
		t.timer = nil
		return
	}
	t.timer.Reset(time.Duration(max(oldest+t.ageing+2*t.resolution-now, t.ageing/16, 1)))
}

// Stop stops the timer for good.
func (t *Table[P]) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// An Entry is what a table knows about one key.
type Entry[P any] struct {
	Key    Key
	Owner  P
	Age    time.Duration // since it was last seen; 0 if Static
	Static bool
}

// Entries returns the entries that have not expired, in no order.
func (t *Table[P]) Entries() []Entry[P] {
	t.mu.RLock()
	defer t.mu.RUnlock()
	now := t.Now()
	list := make([]Entry[P], 0, len(t.entries))
	for k, e := range t.entries {
		if t.expired(e, now) {
			continue
		}
		x := Entry[P]{Key: k, Owner: e.port.Owner, Static: e.static}
		if !e.static {
			x.Age = time.Duration(max(now-e.seen.Load(), 0))
		}
		list = append(list, x)
	}
	return list
}

// Stats are the counters of a table.
type Stats struct {
	Entries                                 int
	Learned, Moved, Aged, Full, StaticMoves uint64
}

// Stats returns the counters.
func (t *Table[P]) Stats() Stats {
	t.mu.RLock()
	n := len(t.entries)
	t.mu.RUnlock()
	return Stats{
		Entries: n,
		Learned: t.learned.Load(), Moved: t.moved.Load(), Aged: t.aged.Load(),
		Full: t.full.Load(), StaticMoves: t.staticMoves.Load(),
	}
}
