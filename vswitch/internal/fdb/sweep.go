// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb

import (
	"runtime"
	"time"
)

// sliceLen is how many entries are looked at, or removed, before the lock is free
// for others: some microseconds' work.
const sliceLen = 128

// minSweepPause is the shortest time between two sweeps, in nanoseconds, however short
// the ageing time is.
const minSweepPause = int64(time.Millisecond)

// yield lets others have the lock; mu is held.
func (t *Table[P]) yield() {
	t.mu.Unlock()
	runtime.Gosched()
	t.mu.Lock()
}

// walk calls do for all entries with the lock held for reading, and after each slice
// of them calls after, if it is not nil, without it.
func (t *Table[P]) walk(do func(*entry[P]), after func()) {
	var w *walker[P]
	t.changeWalkers(func() { w = t.all.walk() })
	defer t.changeWalkers(func() { w.end() })
	for more := true; more; {
		t.mu.RLock()
		more = w.slice(sliceLen, do)
		t.mu.RUnlock()
		if after != nil {
			after()
		}
		runtime.Gosched()
	}
}

// changeWalkers calls do, which changes the walkers of all. Others may hold the lock
// for reading meanwhile.
func (t *Table[P]) changeWalkers(do func()) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.walkersMu.Lock()
	defer t.walkersMu.Unlock()
	do()
}

// removeWhere deletes with remove the entries that gone says, a slice at a time.
func (t *Table[P]) removeWhere(gone func(*entry[P]) bool, remove func(*entry[P])) {
	var list []*entry[P] // of one slice
	t.walk(func(e *entry[P]) {
		if gone(e) {
			list = append(list, e)
		}
	}, func() {
		if len(list) == 0 {
			return
		}
		t.mu.Lock()
		for _, e := range list {
			if t.entries[e.key] == e && gone(e) {
				remove(e)
			}
		}
		t.mu.Unlock()
		clear(list)
		list = list[:0]
	})
}

// Flush removes all entries that were learned.
func (t *Table[P]) Flush() {
	t.removeWhere(func(e *entry[P]) bool { return !e.static }, t.forget)
}

// sweep removes what has expired and arms the timer for the next time that
// something may, which is no sooner than after a 16th of the ageing time, and after
// minSweepPause.
func (t *Table[P]) sweep() {
	now := t.Now()
	oldest := now
	t.removeWhere(func(e *entry[P]) bool {
		if t.expired(e, now) {
			return true
		}
		if !e.static {
			oldest = min(oldest, e.seen.Load())
		}
		return false
	}, t.expire)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.timer == nil: // another sweep has found nothing left
	case t.stopped || t.ageing == 0 || t.all.n == t.static:
		t.timer = nil
	default:
		t.timer.Reset(time.Duration(max(oldest+t.ageing+2*t.resolution-t.Now(), t.ageing/16, minSweepPause)))
	}
}
