// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
)

// A clock is moved by the test.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func (c *clock) add(t *Table, d time.Duration) {
	c.now = c.now.Add(d)
	t.Tick()
}

func newTable(size int) (*Table, *clock) {
	c := &clock{time.Unix(1000, 0)}
	return NewTable(size, 10*time.Second, c.read), c
}

func mac(n int) (m frame.MAC) {
	m[0] = 2
	binary.BigEndian.PutUint32(m[2:], uint32(n))
	return m
}

func peerAddr(n byte) Addr {
	return AddrOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, n}), 7), 0)
}

func wantPeer(t *testing.T, tab *Table, m frame.MAC, want Addr) {
	t.Helper()
	p := tab.Lookup(m)
	switch {
	case p == nil && want != Addr{}:
		t.Errorf("%v is unknown, want %v", m, want.AddrPort())
	case p != nil && p.Addr() != want:
		t.Errorf("%v is at %v, want %v", m, p.Addr().AddrPort(), want.AddrPort())
	}
}

// TestTableAges keeps an entry for as long as it is seen, and then its age.
func TestTableAges(t *testing.T) {
	tab, c := newTable(8)
	tab.Learn(mac(1), peerAddr(1))
	c.add(tab, 9*time.Second)
	wantPeer(t, tab, mac(1), peerAddr(1))
	tab.Learn(mac(1), peerAddr(1))
	c.add(tab, 10*time.Second)
	wantPeer(t, tab, mac(1), peerAddr(1))
	c.add(tab, time.Nanosecond)
	wantPeer(t, tab, mac(1), Addr{})
	if tab.Len() != 0 || len(tab.peers) != 0 {
		t.Errorf("%d entries and %d peers are left", tab.Len(), len(tab.peers))
	}
}

// TestTableMoves follows an address, and does not learn those of groups.
func TestTableMoves(t *testing.T) {
	tab, _ := newTable(8)
	tab.Learn(mac(1), peerAddr(1))
	tab.Learn(mac(1), peerAddr(2))
	wantPeer(t, tab, mac(1), peerAddr(2))
	tab.Learn(frame.Broadcast(), peerAddr(2))
	wantPeer(t, tab, frame.Broadcast(), Addr{})
	if len(tab.peers) != 1 {
		t.Errorf("%d peers, want 1", len(tab.peers))
	}
}

// TestTableForget removes what is behind one peer, and takes it up again.
func TestTableForget(t *testing.T) {
	tab, _ := newTable(8)
	for i := range 3 {
		tab.Learn(mac(i), peerAddr(1))
	}
	tab.Learn(mac(9), peerAddr(2))
	tab.Forget(peerAddr(1))
	tab.Forget(peerAddr(1))
	tab.Forget(peerAddr(77))
	tab.Learn(mac(0), peerAddr(1))
	for i, want := range []Addr{peerAddr(1), {}, {}} {
		wantPeer(t, tab, mac(i), want)
	}
	wantPeer(t, tab, mac(9), peerAddr(2))
	tab.Forget(peerAddr(1))
	wantPeer(t, tab, mac(0), Addr{})
	if tab.Len() != 1 || len(tab.peers) != 1 {
		t.Errorf("%d entries and %d peers are left, want one each", tab.Len(), len(tab.peers))
	}
}

// TestTableFull keeps what is known when somebody sends with a million addresses, and
// has room again when these are old.
func TestTableFull(t *testing.T) {
	tab, c := newTable(64)
	tab.Learn(mac(-1), peerAddr(1))
	const flood = 1_000_000
	for i := range flood {
		tab.Learn(mac(i), peerAddr(2))
	}
	wantPeer(t, tab, mac(-1), peerAddr(1))
	if tab.Len() != 64 || tab.Unlearned() != flood-63 {
		t.Errorf("%d entries, %d not learned; want 64 and %d", tab.Len(), tab.Unlearned(), flood-63)
	}
	c.add(tab, 11*time.Second)
	tab.Learn(mac(-2), peerAddr(3))
	wantPeer(t, tab, mac(-2), peerAddr(3))
	if tab.Len() != 1 || len(tab.peers) != 1 {
		t.Errorf("%d entries and %d peers after the flood, want one each", tab.Len(), len(tab.peers))
	}
}

// TestTableOfNothing learns nothing.
func TestTableOfNothing(t *testing.T) {
	tab, _ := newTable(0)
	tab.Learn(mac(1), peerAddr(1))
	wantPeer(t, tab, mac(1), Addr{})
}

// FuzzTable compares with a slow table that is never full.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0x01, 0x11, 0x82, 0x40, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, ops []byte) {
		tab, c := newTable(1 << 10)
		type slow struct {
			at   Addr
			seen time.Time
		}
		want := make(map[frame.MAC]slow)
		for _, op := range ops {
			m, p := mac(int(op&7)), peerAddr(op>>3&3)
			switch op >> 5 {
			case 0:
				tab.Forget(p)
				for m, s := range want {
					if s.at == p {
						delete(want, m)
					}
				}
			case 1:
				c.add(tab, time.Duration(op&31)*time.Second)
			case 2:
				s := want[m]
				if c.now.Sub(s.seen) > 10*time.Second {
					s.at = Addr{}
				}
				wantPeer(t, tab, m, s.at)
			default:
				tab.Learn(m, p)
				want[m] = slow{p, c.now}
			}
		}
		for m, s := range want {
			if c.now.Sub(s.seen) > 10*time.Second {
				s.at = Addr{}
			}
			wantPeer(t, tab, m, s.at)
		}
		entries := 0
		for _, p := range tab.peers {
			entries += p.entries
		}
		for _, e := range tab.macs {
			if e.peer.gone {
				entries++
			}
		}
		if entries != tab.Len() {
			t.Fatalf("peers have %d entries, there are %d", entries, tab.Len())
		}
	})
}
