// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"testing"
	"time"
)

// TestTableReadsClock reads the clock once for each batch, and not for one that asks
// for nothing.
func TestTableReadsClock(t *testing.T) {
	reads := 0
	tab := NewTable(8, 10*time.Second, func() time.Time {
		reads++
		return time.Unix(int64(reads), 0)
	})
	for range 5 {
		tab.Tick()
	}
	if reads != 0 {
		t.Errorf("the clock was read %d times for nothing", reads)
	}
	for want := range 5 {
		tab.Tick()
		for i := range 4 {
			tab.Learn(mac(i), peerAddr(1))
			wantPeer(t, tab, mac(i), peerAddr(1))
		}
		if reads != want+1 {
			t.Errorf("the clock was read %d times for %d batches", reads, want+1)
		}
	}
}

// TestTableRecent looks for an address again after its entry was removed in each way,
// learned anew, or moved.
func TestTableRecent(t *testing.T) {
	tab, c := newTable(2)
	both := func(want Addr) {
		t.Helper()
		for range 2 {
			wantPeer(t, tab, mac(1), want)
		}
	}
	both(Addr{})
	tab.Learn(mac(1), peerAddr(1))
	both(peerAddr(1))
	tab.Learn(mac(1), peerAddr(2)) // by the entry that was learned last
	both(peerAddr(2))
	tab.Forget(peerAddr(2))
	both(Addr{})
	tab.Learn(mac(1), peerAddr(2))
	both(peerAddr(2))
	c.add(tab, 11*time.Second)
	both(Addr{})
	tab.Learn(mac(1), peerAddr(1))
	both(peerAddr(1))
	c.add(tab, 11*time.Second)
	tab.Learn(mac(2), peerAddr(1))
	tab.Learn(mac(3), peerAddr(1)) // the table is full: its sweep removes the old entry
	both(Addr{})
	tab.Learn(mac(2), peerAddr(1))
	tab.Learn(mac(1), peerAddr(1)) // full of entries that are not old
	both(Addr{})
	if tab.Len() != 2 || len(tab.peers) != 1 || tab.peers[peerAddr(1)].entries != 2 {
		t.Errorf("%d entries, peers %v", tab.Len(), tab.peers)
	}
}
