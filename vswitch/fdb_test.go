// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// The FDB takes no more entries than MaxFDBEntries, none of multicast addresses, and
// forgets those of a port that becomes inactive.
func TestFDB(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFDBEntries: 4})
	defer sw.Close()
	a, b := attach(t, sw, 1), attach(t, sw, 2)
	mac := func(i byte) frame.MAC { return frame.MAC{2, 0, 0, 0, 1, i} }
	for i := range byte(6) {
		write(t, a, testFrame(frame.Broadcast(), mac(i), 60, i))
	}
	write(t, a, testFrame(frame.Broadcast(), frame.MAC{3}, 60, 0)) // a multicast source
	write(t, a, testFrame(mac(1), mac(0), 60, 0))                  // local
	if s := sw.Stats(); s.FDB.Full != 2 || s.FDB.Learned != 4 || s.FDB.Entries != 4 || s.Ports[0].In.Dropped.Local != 1 {
		t.Errorf("%+v", s)
	}
	write(t, b, testFrame(frame.Broadcast(), mac(2), 60, 0)) // moves, though the table is full
	if s := sw.Stats().FDB; s.Moved != 1 {
		t.Errorf("%+v", s)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if table := sw.FDB(); len(table) != 1 || table[0].MAC != mac(2) || table[0].Port != 2 {
		t.Errorf("after port 1 was closed: %+v", table)
	}
	checkAccounts(t, sw.Stats())
}

// An entry that has not been seen for AgeingTime is not used any more.
func TestAgeing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
		hello := testFrame(frame.Broadcast(), macA, 60, 1)
		to := testFrame(macA, macB, 60, 2)
		flooded := func() bool {
			write(t, b, to)
			received(t, sw, a)
			return len(received(t, sw, c)) > 0
		}
		write(t, a, hello)
		received(t, sw, b)
		received(t, sw, c)
		time.Sleep(50 * time.Second)
		if flooded() {
			t.Error("flooded after 50 s")
		}
		write(t, a, hello) // seen again
		received(t, sw, c)
		time.Sleep(99 * time.Second)
		if flooded() {
			t.Error("flooded 99 s after it was seen again")
		}
		if table := sw.FDB(); len(table) != 2 || table[0].MAC != macA || table[0].Age < 99*time.Second || table[0].Age > 100*time.Second {
			t.Errorf("%+v", table)
		}
		time.Sleep(2 * time.Second)
		if !flooded() {
			t.Error("not flooded 101 s after it was seen")
		}
		time.Sleep(10 * time.Second)
		if s := sw.Stats().FDB; s.Aged != 1 || s.Entries != 1 {
			t.Errorf("%+v", s) // B is there still
		}
		time.Sleep(200 * time.Second)
		if s := sw.Stats().FDB; s.Aged != 2 || s.Entries != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// A port accepts no more addresses than its MACLimit, and a static address is
// accepted on its port only.
func TestPortSecurity(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		1: {MACLimit: 2},
		2: {MACLimit: -1, Static: []vswitch.StaticEntry{{MAC: macB}}},
	}})
	defer sw.Close()
	a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
	hello := func(conn *vde.Conn, last byte) bool {
		t.Helper()
		f := testFrame(frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, last}, 60, last)
		write(t, conn, f)
		got := 0
		for _, other := range []*vde.Conn{a, b, c} {
			got += len(received(t, sw, other))
		}
		return got == 2
	}
	for i, test := range []struct {
		conn *vde.Conn
		last byte
		want bool
	}{
		{a, 1, true}, {a, 2, true}, {a, 3, false}, {a, 1, true}, // two stations and no more
		{b, 0x0b, true}, {b, 1, false}, // the fixed one and nobody else
		{c, 0x0b, false}, {c, 3, true}, {a, 3, false}, // nobody else is it; a third on port 1 is one too many
		{c, 1, true}, {a, 3, true}, // one has moved away
	} {
		if got := hello(test.conn, test.last); got != test.want {
			t.Errorf("%d: forwarded %v, want %v", i, got, test.want)
		}
	}
	if err := sw.SetPort(1, vswitch.PortConfig{MACLimit: 1}); err != nil {
		t.Fatal(err)
	}
	if n := sw.Ports()[0].FDBEntries; n != 1 {
		t.Errorf("%d stations behind port 1", n)
	}
	if s := sw.Stats(); s.FDB.StaticMoves != 1 || s.Ports[0].In.Dropped.Security != 2 || s.Ports[1].In.Dropped.Security != 1 {
		t.Errorf("%+v", s)
	}
	checkAccounts(t, sw.Stats())
}
