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
//
// Nobody holds the lock for longer than some microseconds: what concerns many
// entries is done a slice at a time. A frame takes it for writing only if something
// is to be written.
type Table[P any] struct {
	start time.Time
	limit int

	observe func(Change, Key, *Port[P], *Port[P]) // never nil

	mu         sync.RWMutex
	ageing     int64             // guarded by mu; nanoseconds, 0: entries do not age
	resolution int64             // guarded by mu; of an entry's time
	stopped    bool              // guarded by mu
	entries    map[Key]*entry[P] // guarded by mu
	all        list[P]           // guarded by mu, its walkers by walkersMu too; what is in entries
	static     int               // guarded by mu; how many of them are static
	timer      *time.Timer       // guarded by mu; armed while there are entries that age

	walkersMu sync.Mutex // held, with mu for reading, while walkers of all change

	learned, moved, aged, full, staticMoves atomic.Uint64
}

// An entry says which port leads to a key.
type entry[P any] struct {
	key    Key
	port   *Port[P]     // guarded by Table.mu
	seen   atomic.Int64 // nanoseconds since Table.start
	static bool         // written before the entry is published

	in [numLists]neighbors[P] // guarded by Table.mu
}

// maxAgeing is the longest ageing time, 73 years: sums of times do not overflow.
const maxAgeing = 1 << 61

// New returns an empty table of at most limit entries. Those that are learned are
// kept for the ageing time after they were last seen, for ever if it is negative or
// longer than 73 years.
func New[P any](ageing time.Duration, limit int) *Table[P] {
	t := &Table[P]{start: time.Now(), limit: limit, entries: make(map[Key]*entry[P])}
	t.all.which = ofTable
	t.observe = func(Change, Key, *Port[P], *Port[P]) {}
	t.setAgeing(ageing)
	return t
}

// setAgeing is SetAgeing before t is shared, or with mu held.
func (t *Table[P]) setAgeing(ageing time.Duration) {
	t.ageing = 0
	if ageing > 0 && ageing <= maxAgeing {
		t.ageing = int64(ageing)
	}
	t.resolution = t.ageing / 256
}

// SetAgeing changes the ageing time, also of entries that are there.
func (t *Table[P]) SetAgeing(ageing time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.setAgeing(ageing)
	t.arm(0)
}

// arm starts the timer, if there are entries that age, or makes it due sooner, after
// d; mu is held.
func (t *Table[P]) arm(d time.Duration) {
	switch {
	case t.stopped || t.ageing == 0 || t.all.n == t.static:
	case t.timer == nil:
		t.timer = time.AfterFunc(d, t.sweep)
	default:
		t.timer.Reset(d)
	}
}

// A Change is what has happened to a learned entry.
type Change uint8

// Changes.
const (
	Learned   Change = iota
	Moved            // to another port
	Aged             // removed: not seen for the ageing time
	Forgotten        // removed for any other reason
)

// Observe has f called for each change of a learned entry, with its port, and with the
// port before if it has moved. It is called before the table is used. The lock is held
// meanwhile: f must not wait, or call methods of t.
func (t *Table[P]) Observe(f func(c Change, k Key, at, before *Port[P])) { t.observe = f }

// Now returns the time as the other methods want it.
func (t *Table[P]) Now() int64 { return int64(time.Since(t.start)) }

// RLock begins look-ups: Lookup and Source are called before RUnlock.
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

// A Result says what is to become of a frame from an address.
type Result uint8

// Results of [Table.Source].
const (
	Known     Result = iota // the port leads to the address
	Learnable               // call Learn
	Unlearned               // the address is not learned; the frame may pass
	Refused                 // the address may not be behind the port
)

// Source says whether p leads to k, and if so notes that k has been seen; the lock is
// held for reading. Times have a resolution of a 256th of the ageing time, so that
// busy addresses do not keep writing to memory that all processors read.
func (t *Table[P]) Source(k Key, p *Port[P], now int64) Result {
	e := t.entries[k]
	switch {
	case e != nil && e.port == p:
		if seen := e.seen.Load(); now-seen > t.resolution {
			if t.expired(e, now) {
				return Learnable
			}
			e.seen.Store(now)
		}
		return Known
	case e != nil && e.static:
		t.staticMoves.Add(1)
		return Refused
	case p.refuses(now):
		return Refused
	case e == nil && len(t.entries) >= t.limit && !(p.limit > 0 && p.entries.n >= p.limit):
		return t.noRoom(p)
	}
	return Learnable
}

// noRoom is the result for an address behind p that there is no room for; mu is
// held, for reading at least. A port with a limit would not have one if its frames
// passed all the same.
func (t *Table[P]) noRoom(p *Port[P]) Result {
	t.full.Add(1)
	if p.limit != 0 {
		return Refused
	}
	return Unlearned
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
		t.expire(e)
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
		before := e.port
		before.entries.remove(e)
		e.port = p
		p.entries.push(e)
		e.seen.Store(now)
		t.moved.Add(1)
		t.observe(Moved, k, p, before)
		return true
	case len(t.entries) >= t.limit:
		return t.noRoom(p) != Refused
	}
	e = &entry[P]{key: k}
	e.seen.Store(now)
	t.insert(e, p)
	t.learned.Add(1)
	t.observe(Learned, k, p, nil)
	return true
}

// insert publishes e as an entry of p; t.mu is held.
func (t *Table[P]) insert(e *entry[P], p *Port[P]) {
	t.entries[e.key] = e
	e.port = p
	p.entries.push(e)
	t.all.push(e)
	if e.static {
		t.static++
	}
	if t.timer == nil {
		t.arm(time.Duration(t.ageing + 2*t.resolution))
	}
}

// expire deletes e for its age; t.mu is held.
func (t *Table[P]) expire(e *entry[P]) {
	t.remove(e)
	t.aged.Add(1)
	t.observe(Aged, e.key, e.port, nil)
}

// forget deletes e for another reason; t.mu is held.
func (t *Table[P]) forget(e *entry[P]) {
	t.remove(e)
	if !e.static {
		t.observe(Forgotten, e.key, e.port, nil)
	}
}

// remove deletes e; t.mu is held.
func (t *Table[P]) remove(e *entry[P]) {
	delete(t.entries, e.key)
	e.port.entries.remove(e)
	t.all.remove(e)
	if e.static {
		t.static--
	}
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

// Entries returns the entries that have not expired, in no order. What changes
// meanwhile may be in it or not.
func (t *Table[P]) Entries() []Entry[P] {
	t.mu.RLock()
	n := len(t.entries)
	t.mu.RUnlock()
	now := t.Now()
	list := make([]Entry[P], 0, n)
	t.walk(func(e *entry[P]) {
		if t.expired(e, now) {
			return
		}
		x := Entry[P]{Key: e.key, Owner: e.port.Owner, Static: e.static}
		if !e.static {
			x.Age = time.Duration(max(now-e.seen.Load(), 0))
		}
		list = append(list, x)
	}, nil)
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
