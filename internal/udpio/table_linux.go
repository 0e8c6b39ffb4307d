// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"sync"
	"time"

	"github.com/go-vde/sdk/frame"
)

// A Table says behind which peer a MAC address is. It has a fixed size: when it is
// full of addresses that are not too old, others are not learned, and frames to them
// go where those to unknown addresses go. So nobody who sends frames with made-up
// addresses can displace others.
//
// Its methods are called with the lock held.
type Table struct {
	sync.Mutex
	size  int
	age   time.Duration
	now   func() time.Time
	macs  map[frame.MAC]*entry
	peers map[Addr]*Peer

	// Frames of a batch often have the same addresses as the frame before.
	learned, found recent

	clock     time.Time // at the first use after the last call of Tick
	current   bool      // clock was read since that call
	swept     time.Time // when old entries were last removed
	unlearned uint64
}

type entry struct {
	peer *Peer
	seen time.Time
}

// A recent is the entry of an address that was asked for last.
type recent struct {
	mac   frame.MAC
	entry *entry // nil if there is none, or none any more
}

// NewTable returns a table for size addresses, each of which counts for age since it
// was last seen.
func NewTable(size int, age time.Duration, now func() time.Time) *Table {
	return &Table{size: size, age: age, now: now, macs: make(map[frame.MAC]*entry), peers: make(map[Addr]*Peer)}
}

// Tick begins a batch, for which the clock is read once: when the first entry needs it.
// (Reading it takes as long as some frames where it is a system call.)
func (t *Table) Tick() { t.current = false }

// time returns the time of the batch.
func (t *Table) time() time.Time {
	if !t.current {
		t.clock, t.current = t.now(), true
	}
	return t.clock
}

// Unlearned returns how often an address was not learned because the table was full.
func (t *Table) Unlearned() uint64 { return t.unlearned }

// Len returns the number of entries, old ones included.
func (t *Table) Len() int { return len(t.macs) }

// Learn notes that mac is behind the peer at the given address.
func (t *Table) Learn(mac frame.MAC, from Addr) {
	if mac.IsGroup() || t.size == 0 {
		return
	}
	e := t.entry(&t.learned, mac)
	if e == nil {
		if len(t.macs) >= t.size && !t.sweep() {
			t.unlearned++
			return
		}
		e = &entry{}
		t.macs[mac] = e
	}
	if e.seen = t.time(); e.peer != nil && e.peer.addr == from && !e.peer.gone {
		return
	}
	t.leave(e)
	p := t.peers[from]
	if p == nil {
		p = NewPeer(from)
		t.peers[from] = p
	}
	p.entries++
	e.peer = p
}

// Lookup returns the peer that mac is behind, or nil if that is not known, or not any
// more.
func (t *Table) Lookup(mac frame.MAC) *Peer {
	e := t.entry(&t.found, mac)
	if e == nil {
		return nil
	}
	if t.old(e) {
		t.remove(mac, e)
		return nil
	}
	return e.peer
}

// entry returns the entry of mac, which it makes the last one, or nil.
func (t *Table) entry(last *recent, mac frame.MAC) *entry {
	if last.entry != nil && last.mac == mac {
		return last.entry
	}
	e := t.macs[mac]
	if e != nil {
		*last = recent{mac, e}
	}
	return e
}

// Forget removes everything that is behind the peer at the given address. The time it
// takes does not depend on how much that is.
func (t *Table) Forget(from Addr) {
	if p := t.peers[from]; p != nil {
		p.gone = true
		delete(t.peers, from)
	}
}

// Flush removes everything.
func (t *Table) Flush() {
	clear(t.macs)
	clear(t.peers)
	t.learned, t.found = recent{}, recent{}
}

func (t *Table) old(e *entry) bool { return e.peer.gone || t.time().Sub(e.seen) > t.age }

func (t *Table) remove(mac frame.MAC, e *entry) {
	t.leave(e)
	delete(t.macs, mac)
	for _, last := range []*recent{&t.learned, &t.found} {
		if last.entry == e {
			*last = recent{}
		}
	}
}

// leave notes that e does not lead to its peer any more.
func (t *Table) leave(e *entry) {
	p := e.peer
	if p == nil {
		return
	}
	if p.entries--; p.entries == 0 && !p.gone {
		delete(t.peers, p.addr)
	}
	e.peer = nil
}

// sweepPause is how long a table stays full at least before it is looked through for
// old entries again.
const sweepPause = time.Second

// sweep removes old entries and reports whether there is room now.
func (t *Table) sweep() bool {
	if !t.swept.IsZero() && t.time().Sub(t.swept) < sweepPause {
		return false
	}
	t.swept = t.time()
	for mac, e := range t.macs {
		if t.old(e) {
			t.remove(mac, e)
		}
	}
	return len(t.macs) < t.size
}
