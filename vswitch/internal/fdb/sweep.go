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

// sweep removes what has expired and arms the timer for the next time that
// something may, which is no sooner than after a 16th of the ageing time, and after
// minSweepPause.
func (t *Table[P]) sweep() {
	now := t.Now()
	oldest := now
	var gone []*entry[P] // of one slice
	t.walk(func(e *entry[P]) {
		switch {
		case e.static:
		case t.expired(e, now):
			gone = append(gone, e)
		default:
			oldest = min(oldest, e.seen.Load())
		}
	}, func() {
		if len(gone) == 0 {
			return
		}
		t.mu.Lock()
		for _, e := range gone {
			if t.entries[e.key] == e && t.expired(e, now) {
				t.remove(e)
				t.aged.Add(1)
			}
		}
		t.mu.Unlock()
		clear(gone)
		gone = gone[:0]
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.all.n == t.static {
		t.timer = nil
		return
	}
	t.timer.Reset(time.Duration(max(oldest+t.ageing+2*t.resolution-t.Now(), t.ageing/16, minSweepPause)))
}
