// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb

// A Port is a port as the table sees it: what it may have, and the list of what
// it has. Owner is set before use and not changed. SetActive and Configure must not
// be called for one Port at the same time.
type Port[P any] struct {
	Owner P

	// All guarded by Table.mu.
	active  bool
	limit   int // 0: none; negative: static entries only
	static  []Key
	entries list[P]
	hand    *walker[P] // where admits looks next for an expired entry; nil at first
	retry   int64      // when admits is to look again
}

// Len returns the number of p's entries, of a table locked for reading.
func (p *Port[P]) Len() int { return p.entries.n }

// SetActive says whether frames can come from p. When they cannot any more, the
// entries learned on it are removed.
func (t *Table[P]) SetActive(p *Port[P], active bool) {
	t.mu.Lock()
	p.active = active
	t.mu.Unlock()
	if !active {
		t.removeIf(p, func(e *entry[P]) bool { return !e.static })
	}
}

// Configure makes static the static entries of p and limit the most entries it
// may have, with 0 for no limit and less for only those. Of the entries learned
// on p those stay whose VLAN member allows, those known longest if there are too many.
func (t *Table[P]) Configure(p *Port[P], static []Key, limit int, member func(vlan uint16) bool) {
	t.setStatic(p, static, limit)
	t.removeIf(p, func(e *entry[P]) bool { return !e.static && !member(e.key.VLAN()) })
	if limit != 0 {
		most := max(limit, len(static), 0)
		t.removeIf(p, func(e *entry[P]) bool { return !e.static && p.entries.n > most })
	}
}

// setStatic is the part of Configure that happens at once: at no time is the
// address of a static entry free for others.
func (t *Table[P]) setStatic(p *Port[P], static []Key, limit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range p.static {
		if e := t.entries[k]; e != nil && e.static && e.port == p {
			t.forget(e)
		}
	}
	for _, k := range static {
		if old := t.entries[k]; old != nil {
			t.forget(old)
		}
		t.insert(&entry[P]{key: k, static: true}, p)
	}
	p.static, p.limit, p.retry = static, limit, 0
}

// removeIf removes the entries of p that gone says, a slice at a time.
func (t *Table[P]) removeIf(p *Port[P], gone func(*entry[P]) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := p.entries.walk()
	defer w.end()
	for w.slice(sliceLen, func(e *entry[P]) {
		if gone(e) {
			t.forget(e)
		}
	}) {
		t.yield()
	}
}

// refuses reports whether p may not have one entry more, as far as that is known
// without looking for expired ones; t.mu is held, for reading at least.
func (p *Port[P]) refuses(now int64) bool {
	return p.limit < 0 || p.limit > 0 && p.entries.n >= p.limit && now < p.retry
}

const (
	// lookLen is how many entries of a port that has reached its limit are looked
	// at for one that has expired, and lookPause how long there is no other such
	// look, in nanoseconds: whoever sends from new addresses costs others no more.
	lookLen   = 64
	lookPause = 1e6

	// maxRetry is how long there is no look at the most, in nanoseconds: the ageing
	// time may change meanwhile.
	maxRetry = 1e9
)

// admits reports whether p may have one entry more; t.mu is held.
func (t *Table[P]) admits(p *Port[P], now int64) bool {
	switch {
	case p.limit == 0:
		return true
	case p.limit < 0:
		return false
	case p.entries.n < p.limit:
		return true
	case now < p.retry:
		return false
	case t.ageing == 0:
		p.retry = now + maxRetry
		return false
	}
	if p.hand == nil {
		p.hand = p.entries.walk()
	}
	if p.hand.next == nil {
		p.hand.next = p.entries.first
	}
	all, oldest := p.entries.n <= lookLen, now
	if all {
		p.hand.next = p.entries.first
	}
	p.hand.slice(lookLen, func(e *entry[P]) {
		switch {
		case e.static:
		case t.expired(e, now):
			t.expire(e)
		default:
			oldest = min(oldest, e.seen.Load())
		}
	})
	if p.retry = now + lookPause; all {
		p.retry = min(oldest+t.ageing+t.resolution, now+maxRetry)
	}
	return p.entries.n < p.limit
}
