// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

// A model is a forwarding database in the simplest form. Time passes in quarters
// of the ageing time, so that there is no doubt about what has expired.
type model struct {
	limit   int
	entries map[fdb.Key]*modelEntry
	ports   map[int]*modelPort // by owner
	order   int                // of the last entry that came to a port
	stats   fdb.Stats
}

type modelPort struct {
	active bool
	limit  int
}

type modelEntry struct {
	owner  int
	age    time.Duration
	static bool
	order  int
}

func newModel(limit, ports int) *model {
	m := &model{limit: limit, entries: make(map[fdb.Key]*modelEntry), ports: make(map[int]*modelPort)}
	for i := range ports {
		m.ports[i+1] = &modelPort{active: true}
	}
	return m
}

// pass lets time go by.
func (m *model) pass(d time.Duration) {
	for k, e := range m.entries {
		if e.static {
			continue
		}
		if e.age += d; e.age > ageing {
			delete(m.entries, k)
			m.stats.Aged++
		}
	}
}

// count returns how many entries a port has.
func (m *model) count(owner int) (n int) {
	for _, e := range m.entries {
		if e.owner == owner {
			n++
		}
	}
	return n
}

func (m *model) put(k fdb.Key, owner int, static bool) {
	m.order++
	m.entries[k] = &modelEntry{owner: owner, static: static, order: m.order}
}

func (m *model) lookup(k fdb.Key) int {
	if e := m.entries[k]; e != nil {
		return e.owner
	}
	return 0
}

func (m *model) refresh(k fdb.Key, owner int) bool {
	e := m.entries[k]
	if e == nil || e.owner != owner {
		return false
	}
	e.age = 0
	return true
}

// source is refresh that counts what Source counts.
func (m *model) source(k fdb.Key, owner int) bool {
	p, e := m.ports[owner], m.entries[k]
	switch {
	case m.refresh(k, owner):
		return true
	case e != nil && e.static:
		m.stats.StaticMoves++
	case p.limit < 0: // a positive one is known only once Learn has met it
	case e == nil && len(m.entries) >= m.limit && !(p.limit > 0 && m.count(owner) >= p.limit):
		m.stats.Full++
	}
	return false
}

func (m *model) learn(k fdb.Key, owner int) bool {
	p, e := m.ports[owner], m.entries[k]
	switch {
	case !p.active, m.refresh(k, owner):
		return true
	case e != nil && e.static:
		m.stats.StaticMoves++
		return false
	case p.limit < 0 || p.limit > 0 && m.count(owner) >= p.limit:
		return false
	case e != nil:
		m.stats.Moved++
	case len(m.entries) >= m.limit:
		m.stats.Full++
		return p.limit == 0
	default:
		m.stats.Learned++
	}
	m.put(k, owner, false)
	return true
}

func (m *model) flush() {
	for k, e := range m.entries {
		if !e.static {
			delete(m.entries, k)
		}
	}
}

func (m *model) setActive(owner int, active bool) {
	m.ports[owner].active = active
	for k, e := range m.entries {
		if e.owner == owner && !e.static && !active {
			delete(m.entries, k)
		}
	}
}

func (m *model) configure(owner int, static []fdb.Key, limit int, member func(uint16) bool) {
	m.ports[owner].limit = limit
	for k, e := range m.entries {
		if e.owner == owner && (e.static || !member(k.VLAN())) {
			delete(m.entries, k)
		}
	}
	for _, k := range static {
		m.put(k, owner, true)
	}
	for limit != 0 && m.count(owner) > max(limit, len(static)) {
		delete(m.entries, m.latest(owner))
	}
}

// latest returns the learned entry that came to a port last.
func (m *model) latest(owner int) (latest fdb.Key) {
	order := -1
	for k, e := range m.entries {
		if e.owner == owner && !e.static && e.order > order {
			latest, order = k, e.order
		}
	}
	return latest
}

// TestModel does the same to a table and to the model, at random.
func TestModel(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		synctest.Test(t, func(t *testing.T) {
			testModel(t, rand.New(rand.NewPCG(seed, 0)))
		})
		if t.Failed() {
			t.Fatalf("the seed was %d", seed)
		}
	}
}

func testModel(t *testing.T, r *rand.Rand) {
	const (
		ports     = 4
		addresses = 12
		vlans     = 3
		most      = 16 // entries
	)
	tab, m := fdb.New[int](ageing, most), newModel(most, ports)
	defer tab.Stop()
	learned := make(map[fdb.Key]int) // owners, as the changes say
	tab.Observe(func(c fdb.Change, k fdb.Key, at, before *port) { follow(t, learned, c, k, at, before) })
	p := newPorts(tab, ports)
	anyKey := func() fdb.Key { return key(r.IntN(addresses), uint16(r.IntN(vlans))) }
	for range 500 {
		k, at := anyKey(), p[r.IntN(ports)]
		switch n := r.IntN(100); {
		case n < 50:
			learn(t, tab, k, at, m.learn(k, at.Owner))
		case n < 70:
			refresh(t, tab, k, at, m.source(k, at.Owner))
		case n < 85:
			wantOwner(t, tab, k, m.lookup(k))
		case n < 92:
			d := time.Duration(r.IntN(3)) * ageing / 4
			time.Sleep(d)
			synctest.Wait()
			m.pass(d)
		case n < 93:
			tab.Flush()
			m.flush()
		case n < 96:
			active := r.IntN(3) > 0
			tab.SetActive(at, active)
			m.setActive(at.Owner, active)
		default:
			static := make([]fdb.Key, 0, 2)
			for range r.IntN(3) {
				if k := anyKey(); !slices.Contains(static, k) {
					static = append(static, k)
				}
			}
			limit, without := r.IntN(8)-1, uint16(r.IntN(vlans+1))
			member := func(v uint16) bool { return v != without }
			tab.Configure(at, static, limit, member)
			m.configure(at.Owner, static, limit, member)
		}
		m.check(t, tab, p)
		m.checkLearned(t, tab, learned)
		if t.Failed() {
			return
		}
	}
}

// check compares what the table knows with the model.
func (m *model) check(t *testing.T, tab *table, ports []*port) {
	t.Helper()
	m.stats.Entries = len(m.entries)
	wantStats(t, tab, m.stats)
	for _, p := range ports {
		wantLen(t, tab, p, m.count(p.Owner))
	}
	got := tab.Entries()
	if len(got) != len(m.entries) {
		t.Errorf("%d entries, want %d", len(got), len(m.entries))
	}
	for _, e := range got {
		want := m.entries[e.Key]
		if want == nil {
			t.Errorf("there is %+v, which is not to be there", e)
			continue
		}
		x := fdb.Entry[int]{Key: e.Key, Owner: want.owner, Static: want.static}
		if !want.static {
			x.Age = want.age
		}
		if !same(e, x) {
			t.Errorf("there is %+v, want %+v", e, x)
		}
	}
}

// follow applies a change to what was learned before.
func follow(t *testing.T, learned map[fdb.Key]int, c fdb.Change, k fdb.Key, at, before *port) {
	owner, ok := learned[k]
	switch {
	case ok == (c == fdb.Learned), (before != nil) != (c == fdb.Moved):
		t.Errorf("change %d of %v: known is %v, and it comes from %v", c, k.MAC(), ok, before)
	case before != nil && before.Owner != owner, c != fdb.Learned && before == nil && at.Owner != owner:
		t.Errorf("change %d of %v, which is at %d: it was at %d", c, k.MAC(), at.Owner, owner)
	}
	if learned[k] = at.Owner; c == fdb.Aged || c == fdb.Forgotten {
		delete(learned, k)
	}
}

// checkLearned compares what the changes of tab say with the model.
func (m *model) checkLearned(t *testing.T, tab *table, learned map[fdb.Key]int) {
	t.Helper()
	tab.RLock() // changes come with it held
	defer tab.RUnlock()
	for k, e := range m.entries {
		if !e.static && learned[k] != e.owner {
			t.Errorf("%v is at %d, and the changes say %d", k.MAC(), e.owner, learned[k])
		}
	}
	for k := range learned {
		if e := m.entries[k]; e == nil || e.static {
			t.Errorf("the changes say that %v was learned", k.MAC())
		}
	}
}
