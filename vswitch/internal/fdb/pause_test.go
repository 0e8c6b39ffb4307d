// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb_test

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

func address(n int) fdb.Key {
	return fdb.KeyOf(frame.MAC{2, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, 0)
}

// newPort returns an active port of t.
func newPort(t *table, owner int) *fdb.Port[int] {
	p := &fdb.Port[int]{Owner: owner}
	t.SetActive(p, true)
	return p
}

// fill lets p learn n keys.
func fill(tb testing.TB, t *table, p *fdb.Port[int], n int) {
	now := t.Now()
	for i := range n {
		if !t.Learn(address(i), p, now) {
			tb.Fatal("not learned")
		}
	}
}

// longestPause looks keys up, as forwarding does, and learns one now and then,
// until done is closed; it returns the longest time that this took at once.
func longestPause(t *table, p *fdb.Port[int], done <-chan struct{}) (longest time.Duration) {
	for i := 0; ; i++ {
		start := time.Now()
		t.RLock()
		t.Lookup(address(i), 0)
		t.RUnlock()
		if i%64 == 0 {
			t.Learn(address(math.MaxInt32), p, t.Now())
		}
		longest = max(longest, time.Since(start))
		select {
		case <-done:
			return longest
		default:
		}
	}
}

// BenchmarkPause measures how long one look-up waits at most while the table does
// something long: in the best round, because in others the machine was busy.
func BenchmarkPause(b *testing.B) {
	for _, n := range []int{1 << 16, 1 << 20} {
		for _, work := range []struct {
			name   string
			ageing time.Duration
			do     func(t *table, p *fdb.Port[int])
		}{
			{"sweep", 2 * time.Second, func(t *table, _ *fdb.Port[int]) {
				for t.Stats().Entries > n/2 {
					time.Sleep(time.Millisecond)
				}
			}},
			{"detach", -1, func(t *table, p *fdb.Port[int]) { t.SetActive(p, false) }},
			{"list", -1, func(t *table, _ *fdb.Port[int]) { t.Entries() }},
			{"configure", -1, func(t *table, p *fdb.Port[int]) {
				t.Configure(p, nil, 0, func(uint16) bool { return false })
			}},
		} {
			b.Run(fmt.Sprintf("work=%s/entries=%d", work.name, n), func(b *testing.B) {
				best := time.Duration(math.MaxInt64)
				for b.Loop() {
					b.StopTimer()
					t := fdb.New[int](work.ageing, 2*n)
					p, other := newPort(t, 1), newPort(t, 2)
					filled := time.Now()
					fill(b, t, p, n)
					done := make(chan struct{})
					time.Sleep(time.Until(filled.Add(work.ageing - 10*time.Millisecond)))
					b.StartTimer()
					go func() {
						defer close(done)
						work.do(t, p)
					}()
					best = min(best, longestPause(t, other, done))
					b.StopTimer()
					t.Stop()
					b.StartTimer()
				}
				b.ReportMetric(float64(best)/1e6, "ms-longest-pause")
			})
		}
	}
}

// sees reports whether a reader finds the table with some of its n entries gone and
// others not while do removes them all: the lock is not held for all of that.
func sees(t *table, n int, do func()) (partly bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for {
		if left := t.Stats().Entries; left > 0 && left < n {
			partly = true
		}
		select {
		case <-done:
			return partly
		default:
		}
	}
}

// Whatever concerns many entries lets look-ups pass in between.
func TestLongWorkInSlices(t *testing.T) {
	const n = 1 << 17
	for name, do := range map[string]func(t *table, p *fdb.Port[int]){
		"detach":    func(t *table, p *fdb.Port[int]) { t.SetActive(p, false) },
		"configure": func(t *table, p *fdb.Port[int]) { t.Configure(p, nil, 0, func(uint16) bool { return false }) },
		"limit":     func(t *table, p *fdb.Port[int]) { t.Configure(p, nil, -1, func(uint16) bool { return true }) },
	} {
		tab := fdb.New[int](-1, n)
		p := newPort(tab, 1)
		fill(t, tab, p, n)
		if !sees(tab, n, func() { do(tab, p) }) {
			t.Errorf("%s: no look-up passed before all was done", name)
		}
		if left := tab.Stats().Entries; left != 0 {
			t.Errorf("%s: %d entries are left", name, left)
		}
	}
}

func TestSweepInSlices(t *testing.T) {
	const n = 1 << 17
	tab := fdb.New[int](time.Second, n)
	defer tab.Stop()
	p := newPort(tab, 1)
	fill(t, tab, p, n)
	if !sees(tab, n, func() {
		for tab.Stats().Entries > 0 {
			runtime.Gosched()
		}
	}) {
		t.Error("no look-up passed before all was done")
	}
	if s := tab.Stats(); s.Aged != n {
		t.Errorf("%+v", s)
	}
}

// What is in the table does not change while an entry is looked for among others
// that are removed.
func TestListWhileRemoved(t *testing.T) {
	const n = 1 << 14
	tab := fdb.New[int](-1, 2*n)
	gone, stays := newPort(tab, 1), newPort(tab, 2)
	now := tab.Now()
	for i := range n {
		if !tab.Learn(address(2*i), gone, now) || !tab.Learn(address(2*i+1), stays, now) {
			t.Fatal("not learned")
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tab.SetActive(gone, false)
	}()
	for range 4 {
		found := 0
		for _, e := range tab.Entries() {
			if e.Owner == 2 {
				found++
			}
		}
		if found != n {
			t.Errorf("%d entries of the port that stays, want %d", found, n)
		}
	}
	<-done
}

// An ageing time so long that times would overflow is one without end.
func TestLongestAgeing(t *testing.T) {
	for _, ageing := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64 / 2, math.MaxInt64 / 4} {
		synctest.Test(t, func(t *testing.T) {
			tab := fdb.New[int](ageing, 10)
			defer tab.Stop()
			p := newPort(tab, 1)
			fill(t, tab, p, 1)
			time.Sleep(365 * 24 * time.Hour)
			tab.RLock()
			owner := tab.Lookup(address(0), tab.Now())
			tab.RUnlock()
			if s := tab.Stats(); owner != 1 || s.Entries != 1 || s.Aged != 0 {
				t.Errorf("%v: port %d, %+v", ageing, owner, s)
			}
		})
	}
}

// A port that has reached its limit gets another entry once one has expired.
func TestLimitAndAge(t *testing.T) {
	for _, limit := range []int{1, 64, 1000} {
		synctest.Test(t, func(t *testing.T) {
			tab := fdb.New[int](100*time.Second, 2000)
			defer tab.Stop()
			p := newPort(tab, 1)
			tab.Configure(p, nil, limit, func(uint16) bool { return true })
			fill(t, tab, p, limit)
			source := func() bool {
				tab.RLock()
				r := tab.Source(address(limit), p, tab.Now())
				tab.RUnlock()
				return r == fdb.Known || r == fdb.Learnable && tab.Learn(address(limit), p, tab.Now())
			}
			for range 10 {
				if source() {
					t.Fatalf("limit %d: one more", limit)
				}
				time.Sleep(time.Second)
			}
			time.Sleep(91 * time.Second) // not yet swept
			admitted := false
			for range 1 + limit/64 {
				admitted = admitted || source()
				time.Sleep(10 * time.Millisecond)
			}
			if !admitted {
				t.Errorf("limit %d: none more although all have expired", limit)
			}
		})
	}
}

// An address that is refused, or that there is no room for, is not a reason to take
// the lock for writing.
func TestRefusedForReading(t *testing.T) {
	tab := fdb.New[int](100*time.Second, 8)
	defer tab.Stop()
	limited, free, static := newPort(tab, 1), newPort(tab, 2), newPort(tab, 3)
	tab.Configure(limited, nil, 2, func(uint16) bool { return true })
	tab.Configure(static, []fdb.Key{address(100)}, -1, func(uint16) bool { return true })
	fill(t, tab, limited, 2)
	if tab.Learn(address(2), limited, tab.Now()) {
		t.Error("a third behind a port of two")
	}
	want := func(what string, n int, p *fdb.Port[int], want fdb.Result) {
		t.Helper()
		tab.RLock()
		defer tab.RUnlock()
		if got := tab.Source(address(n), p, tab.Now()); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	want("known", 0, limited, fdb.Known)
	want("one too many", 3, limited, fdb.Refused)
	want("static only", 3, static, fdb.Refused)
	want("static elsewhere", 100, free, fdb.Refused)
	want("new", 3, free, fdb.Learnable)
	for i := range 5 {
		tab.Learn(address(10+i), free, tab.Now())
	}
	want("table full", 20, free, fdb.Unlearned)
	tab.Configure(limited, nil, 5, func(uint16) bool { return true })
	want("table full, limited port", 20, limited, fdb.Refused)
	if tab.Learn(address(20), limited, tab.Now()) || !tab.Learn(address(20), free, tab.Now()) {
		t.Error("a full table: Learn says otherwise than Source")
	}
}
