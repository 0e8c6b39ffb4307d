// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

// A new ageing time also holds for entries that are there, and for a port that is full.
func TestSetAgeing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := fdb.New[int](-1, plenty)
		defer tab.Stop()
		p := newPorts(tab, 2)
		tab.Configure(p[1], nil, 1, everyVLAN)
		learn(t, tab, key(1, 0), p[0], true)
		learn(t, tab, key(2, 0), p[1], true)
		learn(t, tab, key(3, 0), p[1], false)
		time.Sleep(100 * ageing)
		wantOwner(t, tab, key(1, 0), 1)
		learn(t, tab, key(3, 0), p[1], false)

		tab.SetAgeing(200 * ageing)
		time.Sleep(ageing)
		learn(t, tab, key(3, 0), p[1], false)
		wantLen(t, tab, p[0], 1)

		tab.SetAgeing(ageing)
		synctest.Wait() // for the sweep
		wantLen(t, tab, p[0], 0)
		learn(t, tab, key(3, 0), p[1], true)
		wantStats(t, tab, fdb.Stats{Entries: 1, Learned: 3, Aged: 2})

		tab.SetAgeing(-1)
		time.Sleep(100 * ageing)
		wantOwner(t, tab, key(3, 0), 2)
		tab.SetAgeing(1) // the shortest
		time.Sleep(time.Second)
		wantLen(t, tab, p[1], 0)
	})
}
