// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb

// A Port is a port as the table sees it: what it may have, and the list of what
// it has. Owner is set before use and not changed.
type Port[P any] struct {
	Owner P

	// All guarded by Table.mu.
	active bool
	limit  int       // 0: none; negative: static entries only
	first  *entry[P] // the latest
	n      int
}

// Len returns the number of p's entries, of a table locked for reading.
func (p *Port[P]) Len() int { return p.n }

// SetActive says whether frames can come from p. When they cannot any more, the
// entries learned on it are removed.
func (t *Table[P]) SetActive(p *Port[P], active bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.active = active
	if !active {
		t.removeIf(p, func(e *entry[P]) bool { return !e.static })
	}
}

// Configure makes static the static entries of p and limit the most entries it
// may have, with 0 for no limit and less for only those. Of the entries learned
// on p those stay whose VLAN member allows, those known longest if there are too many.
func (t *Table[P]) Configure(p *Port[P], static []Key, limit int, member func(vlan uint16) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.limit = limit
	t.removeIf(p, func(e *entry[P]) bool { return e.static || !member(e.key.VLAN()) })
	for _, k := range static {
		if old := t.entries[k]; old != nil {
			t.remove(old)
		}
		t.insert(&entry[P]{key: k, static: true}, p)
	}
	if limit != 0 {
		t.trim(p, max(limit, len(static), 0))
	}
}

// trim removes entries that were learned on p until it has no more than limit,
// the latest first; t.mu is held.
func (t *Table[P]) trim(p *Port[P], limit int) {
	for e := p.first; e != nil && p.n > limit; {
		next := e.next
		if !e.static {
			t.remove(e)
		}
		e = next
	}
}

// admits reports whether p may have one entry more; t.mu is held.
func (t *Table[P]) admits(p *Port[P], now int64) bool {
	switch {
	case p.limit == 0:
		return true
	case p.limit < 0:
		return false
	case p.n < p.limit:
		return true
	}
	t.removeIf(p, func(e *entry[P]) bool { return t.expired(e, now) })
	return p.n < p.limit
}

// removeIf removes the entries of p that gone says; t.mu is held.
func (t *Table[P]) removeIf(p *Port[P], gone func(*entry[P]) bool) {
	for e := p.first; e != nil; {
		next := e.next
		if gone(e) {
			t.remove(e)
		}
		e = next
	}
}

// link and unlink keep the list of a port's entries; Table.mu is held.
func (p *Port[P]) link(e *entry[P]) {
	e.port, e.prev, e.next = p, nil, p.first
	if e.next != nil {
		e.next.prev = e
	}
	p.first = e
	p.n++
}

func (p *Port[P]) unlink(e *entry[P]) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		p.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
	p.n--
}
