// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

const (
	ageing = time.Hour

	// late is how long after the ageing time an entry is gone for certain.
	late = ageing / 4

	plenty = 1000 // entries
)

type (
	table = fdb.Table[int]
	port  = fdb.Port[int]
)

// newPorts returns n active ports of t, which belong to 1, 2 and so on: 0 is what
// Lookup returns for an unknown key.
func newPorts(t *table, n int) []*port {
	ports := make([]*port, n)
	for i := range ports {
		ports[i] = &port{Owner: i + 1}
		t.SetActive(ports[i], true)
	}
	return ports
}

// key returns the key of address n in VLAN v.
func key(n int, v uint16) fdb.Key {
	return fdb.KeyOf(frame.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)}, v)
}

// everyVLAN is the membership of a port in all VLANs.
func everyVLAN(uint16) bool { return true }

// wantOwner checks what a look-up of k returns; 0 is for nothing.
func wantOwner(t *testing.T, tab *table, k fdb.Key, want int) {
	t.Helper()
	tab.RLock()
	defer tab.RUnlock()
	if got := tab.Lookup(k, tab.Now()); got != want {
		t.Errorf("Lookup(%v in VLAN %d): port %d, want %d", k.MAC(), k.VLAN(), got, want)
	}
}

// learn checks what Learn of k on p returns.
func learn(t *testing.T, tab *table, k fdb.Key, p *port, want bool) {
	t.Helper()
	if got := tab.Learn(k, p, tab.Now()); got != want {
		t.Errorf("Learn(%v in VLAN %d) on port %d: %v", k.MAC(), k.VLAN(), p.Owner, got)
	}
}

// refresh checks whether Source knows k on p.
func refresh(t *testing.T, tab *table, k fdb.Key, p *port, want bool) {
	t.Helper()
	tab.RLock()
	defer tab.RUnlock()
	if got := tab.Source(k, p, tab.Now()) == fdb.Known; got != want {
		t.Errorf("Source(%v in VLAN %d) on port %d: %v", k.MAC(), k.VLAN(), p.Owner, got)
	}
}

// wantStats checks the counters.
func wantStats(t *testing.T, tab *table, want fdb.Stats) {
	t.Helper()
	if got := tab.Stats(); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// wantLen checks how many entries p has.
func wantLen(t *testing.T, tab *table, p *port, want int) {
	t.Helper()
	tab.RLock()
	defer tab.RUnlock()
	if got := p.Len(); got != want {
		t.Errorf("port %d has %d entries, want %d", p.Owner, got, want)
	}
}

func TestKey(t *testing.T) {
	for _, tt := range []struct {
		mac   frame.MAC
		vlan  uint16
		group bool
	}{
		{frame.MAC{0, 0, 0, 0, 0, 0}, 0, false},
		{frame.MAC{2, 1, 2, 3, 4, 5}, 4094, false},
		{frame.MAC{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff}, 0xffff, false},
		{frame.MAC{1, 0, 0x5e, 0, 0, 1}, 1, true},
		{frame.Broadcast(), 0, true},
	} {
		k := fdb.KeyOf(tt.mac, tt.vlan)
		if k.MAC() != tt.mac || k.VLAN() != tt.vlan || k.IsGroup() != tt.group {
			t.Errorf("key of %v in VLAN %d: %v in VLAN %d, a group: %v", tt.mac, tt.vlan, k.MAC(), k.VLAN(), k.IsGroup())
		}
		b := append(tt.mac[:], 0xab, 0xcd) // what follows the address in a frame
		if at := fdb.KeyAt(b, tt.vlan); at != k {
			t.Errorf("KeyAt is %x, KeyOf is %x", at, k)
		}
	}
	if !fdb.NoKey.IsGroup() {
		t.Error("an address could have the key NoKey")
	}
}

func TestLearn(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	a, b := key(1, 0), key(2, 0)
	wantOwner(t, tab, a, 0)
	refresh(t, tab, a, p[0], false)
	learn(t, tab, a, p[0], true)
	learn(t, tab, a, p[0], true)
	learn(t, tab, b, p[1], true)
	wantOwner(t, tab, a, 1)
	wantOwner(t, tab, b, 2)
	refresh(t, tab, a, p[0], true)
	refresh(t, tab, a, p[1], false)
	wantLen(t, tab, p[0], 1)
	wantStats(t, tab, fdb.Stats{Entries: 2, Learned: 2})
}

func TestVLANs(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	learn(t, tab, key(1, 10), p[0], true)
	learn(t, tab, key(1, 20), p[1], true)
	wantOwner(t, tab, key(1, 10), 1)
	wantOwner(t, tab, key(1, 20), 2)
	wantOwner(t, tab, key(1, 0), 0)
	refresh(t, tab, key(1, 20), p[0], false)

	tab.Configure(p[0], nil, 0, func(v uint16) bool { return v != 10 })
	wantOwner(t, tab, key(1, 10), 0)
	wantOwner(t, tab, key(1, 20), 2)
	wantStats(t, tab, fdb.Stats{Entries: 1, Learned: 2})
}

func TestMove(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	for n := range 3 {
		learn(t, tab, key(n, 0), p[0], true)
	}
	learn(t, tab, key(1, 0), p[1], true) // from the middle of the entries of p[0]
	wantOwner(t, tab, key(1, 0), 2)
	refresh(t, tab, key(1, 0), p[0], false)
	refresh(t, tab, key(1, 0), p[1], true)
	wantLen(t, tab, p[0], 2)
	wantLen(t, tab, p[1], 1)
	wantStats(t, tab, fdb.Stats{Entries: 3, Learned: 3, Moved: 1})
}

func TestAgeing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := fdb.New[int](ageing, plenty)
		defer tab.Stop()
		p := newPorts(tab, 1)
		kept, refreshed, learned := key(1, 0), key(2, 0), key(3, 0)
		tab.Configure(p[0], []fdb.Key{kept}, 0, everyVLAN)
		learn(t, tab, refreshed, p[0], true)
		learn(t, tab, learned, p[0], true)

		time.Sleep(ageing / 2)
		refresh(t, tab, refreshed, p[0], true)
		time.Sleep(ageing / 2) // the ageing time after learned was seen
		wantOwner(t, tab, learned, 1)
		time.Sleep(late)
		synctest.Wait()
		wantOwner(t, tab, learned, 0)
		refresh(t, tab, learned, p[0], false)
		wantOwner(t, tab, refreshed, 1)
		wantStats(t, tab, fdb.Stats{Entries: 2, Learned: 2, Aged: 1})

		learn(t, tab, learned, p[0], true) // after its end it is a new one
		time.Sleep(ageing / 2)             // one and a quarter after refreshed was seen
		synctest.Wait()
		wantOwner(t, tab, refreshed, 0)
		wantOwner(t, tab, learned, 1)
		time.Sleep(10 * ageing)
		synctest.Wait()
		wantOwner(t, tab, kept, 1)
		wantLen(t, tab, p[0], 1)
		wantStats(t, tab, fdb.Stats{Entries: 1, Learned: 3, Aged: 3})
	})
}

// TestAgeingExpiredOnPaper learns and looks up with times at which entries have
// expired although no timer has run.
func TestAgeingExpiredOnPaper(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	k, now := key(1, 0), tab.Now()
	tab.Learn(k, p[0], now)
	now += int64(ageing + late)
	tab.RLock()
	if owner, ok := tab.Lookup(k, now), tab.Source(k, p[0], now) == fdb.Known; owner != 0 || ok {
		t.Errorf("an entry that has expired: port %d, refreshed %v", owner, ok)
	}
	tab.RUnlock()
	if !tab.Learn(k, p[1], now) {
		t.Error("not learned after the entry has expired")
	}
	wantLen(t, tab, p[0], 0)
	wantLen(t, tab, p[1], 1)
	wantStats(t, tab, fdb.Stats{Entries: 1, Learned: 2, Aged: 1})
}

func TestForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := fdb.New[int](-1, plenty)
		defer tab.Stop()
		p := newPorts(tab, 1)
		learn(t, tab, key(1, 0), p[0], true)
		time.Sleep(1000 * ageing)
		synctest.Wait()
		wantOwner(t, tab, key(1, 0), 1)
		refresh(t, tab, key(1, 0), p[0], true)
		wantStats(t, tab, fdb.Stats{Entries: 1, Learned: 1})
	})
}

// TestStop checks that nothing runs afterwards, also when something is learned.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := fdb.New[int](ageing, plenty)
		p := newPorts(tab, 1)
		learn(t, tab, key(1, 0), p[0], true)
		tab.Stop()
		learn(t, tab, key(2, 0), p[0], true)
		time.Sleep(10 * ageing)
		synctest.Wait()
		wantStats(t, tab, fdb.Stats{Entries: 2, Learned: 2})
		wantOwner(t, tab, key(1, 0), 0) // it has expired all the same
		tab.Stop()
	})
}

func TestStatic(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	a, b := key(1, 0), key(2, 0)
	learn(t, tab, a, p[1], true)
	tab.Configure(p[0], []fdb.Key{a, b}, 0, everyVLAN)
	wantOwner(t, tab, a, 1) // in place of what p[1] had learned
	wantLen(t, tab, p[1], 0)
	refresh(t, tab, a, p[0], true)
	learn(t, tab, a, p[0], true)
	learn(t, tab, a, p[1], false)
	wantOwner(t, tab, a, 1)
	wantStats(t, tab, fdb.Stats{Entries: 2, Learned: 1, StaticMoves: 1})

	tab.SetActive(p[0], false)
	wantOwner(t, tab, a, 1)
	tab.Configure(p[1], []fdb.Key{a}, 0, everyVLAN) // the last port to be configured has it
	wantOwner(t, tab, a, 2)
	wantLen(t, tab, p[0], 1)
	tab.Configure(p[0], nil, 0, everyVLAN)
	wantOwner(t, tab, b, 0)
	wantStats(t, tab, fdb.Stats{Entries: 1, Learned: 1, StaticMoves: 1})
}

func TestInactivePort(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	for n := range 3 {
		learn(t, tab, key(n, 0), p[n%2], true)
	}
	tab.SetActive(p[0], false)
	wantLen(t, tab, p[0], 0)
	wantOwner(t, tab, key(1, 0), 2)
	learn(t, tab, key(0, 0), p[0], true) // nothing is learned, and nothing is wrong
	wantOwner(t, tab, key(0, 0), 0)
	tab.SetActive(p[0], true)
	learn(t, tab, key(0, 0), p[0], true)
	wantOwner(t, tab, key(0, 0), 1)
	wantStats(t, tab, fdb.Stats{Entries: 2, Learned: 4})
}

func TestLimit(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	tab.Configure(p[0], []fdb.Key{key(0, 0)}, 3, everyVLAN)
	learn(t, tab, key(1, 0), p[0], true)
	learn(t, tab, key(2, 0), p[0], true)
	learn(t, tab, key(3, 0), p[0], false)
	learn(t, tab, key(1, 0), p[0], true) // is known
	learn(t, tab, key(4, 0), p[1], true)
	learn(t, tab, key(4, 0), p[0], false) // does not move to where there is no room
	wantOwner(t, tab, key(4, 0), 2)
	learn(t, tab, key(2, 0), p[1], true) // makes room
	learn(t, tab, key(3, 0), p[0], true)
	wantLen(t, tab, p[0], 3)

	tab.Configure(p[0], nil, 1, everyVLAN)
	wantOwner(t, tab, key(1, 0), 1) // known longest
	wantLen(t, tab, p[0], 1)
	tab.Configure(p[0], []fdb.Key{key(7, 0), key(8, 0)}, -1, everyVLAN)
	wantOwner(t, tab, key(1, 0), 0)
	wantLen(t, tab, p[0], 2)
	learn(t, tab, key(1, 0), p[0], false)
	refresh(t, tab, key(7, 0), p[0], true)
	tab.Configure(p[0], nil, 0, everyVLAN)
	for n := range 50 {
		learn(t, tab, key(100+n, 0), p[0], true)
	}
	wantLen(t, tab, p[0], 50)
}

// TestLimitAndAgeing checks that an entry that has expired leaves room for another
// one, with the time given to Learn ahead of the timer.
func TestLimitAndAgeing(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 1)
	tab.Configure(p[0], nil, 2, everyVLAN)
	now := tab.Now()
	tab.Learn(key(1, 0), p[0], now)
	tab.Learn(key(2, 0), p[0], now+int64(ageing/2))
	now += int64(ageing + late)
	if !tab.Learn(key(3, 0), p[0], now) {
		t.Error("not learned although an entry has expired")
	}
	if tab.Learn(key(4, 0), p[0], now) {
		t.Error("learned beyond the limit")
	}
	tab.RLock()
	defer tab.RUnlock()
	if a, b := tab.Lookup(key(2, 0), now), tab.Lookup(key(3, 0), now); a != 1 || b != 1 {
		t.Errorf("the port has %d and %d", a, b)
	}
}

func TestFullTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 4
		tab := fdb.New[int](ageing, most)
		defer tab.Stop()
		p := newPorts(tab, 2)
		for n := range most {
			learn(t, tab, key(n, 0), p[0], true)
		}
		learn(t, tab, key(9, 0), p[1], true) // passes, but is not known
		wantOwner(t, tab, key(9, 0), 0)
		learn(t, tab, key(1, 0), p[1], true) // moves need no room
		wantOwner(t, tab, key(1, 0), 2)
		wantStats(t, tab, fdb.Stats{Entries: most, Learned: most, Moved: 1, Full: 1})

		time.Sleep(ageing + late)
		synctest.Wait()
		learn(t, tab, key(9, 0), p[1], true)
		wantOwner(t, tab, key(9, 0), 2)
		wantStats(t, tab, fdb.Stats{Entries: 1, Learned: most + 1, Moved: 1, Full: 1, Aged: most})
	})
}

// same reports whether two entries are the same, up to the resolution of times.
func same(a, b fdb.Entry[int]) bool {
	d := a.Age - b.Age
	a.Age, b.Age = 0, 0
	return a == b && d.Abs() <= ageing/256
}

func TestEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := fdb.New[int](ageing, plenty)
		defer tab.Stop()
		p := newPorts(tab, 2)
		tab.Configure(p[0], []fdb.Key{key(1, 5)}, 0, everyVLAN)
		learn(t, tab, key(2, 6), p[1], true)
		learn(t, tab, key(3, 7), p[1], true)
		time.Sleep(ageing / 2)
		refresh(t, tab, key(3, 7), p[1], true)
		want := map[fdb.Key]fdb.Entry[int]{
			key(1, 5): {Key: key(1, 5), Owner: 1, Static: true},
			key(2, 6): {Key: key(2, 6), Owner: 2, Age: ageing / 2},
			key(3, 7): {Key: key(3, 7), Owner: 2},
		}
		got := tab.Entries()
		for _, e := range got {
			if !same(e, want[e.Key]) {
				t.Errorf("%+v, want %+v", e, want[e.Key])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d entries, want %d", len(got), len(want))
		}
	})
}

// TestReadersTogether checks that look-ups wait for no other look-up.
func TestReadersTogether(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 1)
	learn(t, tab, key(1, 0), p[0], true)
	tab.RLock()
	defer tab.RUnlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		wantOwner(t, tab, key(1, 0), 1)
		refresh(t, tab, key(1, 0), p[0], true)
		if n := len(tab.Entries()); n != 1 {
			t.Errorf("%d entries", n)
		}
	}()
	<-done
}

// TestConcurrentUse looks up and learns at the same time, with entries that
// expire meanwhile. Each address has two ports that it can be at.
func TestConcurrentUse(t *testing.T) {
	const (
		addresses = 32
		rounds    = 3000
	)
	tab := fdb.New[int](time.Microsecond, addresses/2)
	defer tab.Stop()
	p := newPorts(tab, 4)
	home := func(n int) [2]*port { return [2]*port{p[n%4], p[(n+1)%4]} }
	var all sync.WaitGroup
	for w := range 3 {
		all.Go(func() { // learns
			for i := range rounds {
				n := (i + w) % addresses
				tab.Learn(key(n, 0), home(n)[i/addresses%2], tab.Now())
			}
		})
		all.Go(func() { // looks up
			for i := range rounds {
				n := i % addresses
				at := home(n)
				tab.RLock()
				owner := tab.Lookup(key(n, 0), tab.Now())
				tab.Source(key(n, 0), at[0], tab.Now())
				tab.RUnlock()
				if owner != 0 && owner != at[0].Owner && owner != at[1].Owner {
					t.Errorf("address %d is at port %d, want %d or %d", n, owner, at[0].Owner, at[1].Owner)
				}
			}
		})
	}
	all.Go(func() {
		for i := range rounds / 10 {
			tab.SetActive(p[i%4], false)
			tab.SetActive(p[i%4], true)
			tab.Configure(p[i%4], []fdb.Key{key(addresses+i%4, 0)}, i%8, everyVLAN)
			_ = tab.Entries()
		}
	})
	all.Wait()
	tab.Stop()
	// A sweep may be under way still. It only removes, so that nothing changed
	// between two equal numbers.
	entries, sum := tab.Stats().Entries, 0
	for stable := false; !stable; {
		before := entries
		sum = 0
		tab.RLock()
		for _, p := range p {
			sum += p.Len()
		}
		tab.RUnlock()
		entries = tab.Stats().Entries
		stable = entries == before
	}
	if entries != sum {
		t.Errorf("%d entries, and the ports have %d", entries, sum)
	}
}

// TestNoAllocations checks that what happens for each frame allocates nothing.
func TestNoAllocations(t *testing.T) {
	tab := fdb.New[int](ageing, plenty)
	defer tab.Stop()
	p := newPorts(tab, 2)
	k := key(1, 0)
	learn(t, tab, k, p[0], true)
	at := 0
	if n := testing.AllocsPerRun(100, func() {
		now := tab.Now()
		tab.RLock()
		tab.Lookup(k, now)
		tab.Source(k, p[0], now)
		tab.RUnlock()
		at = 1 - at
		tab.Learn(k, p[at], now) // moves
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
