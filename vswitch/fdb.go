// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"slices"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

// An FDBEntry is a MAC address in a VLAN and the port that leads to it.
type FDBEntry struct {
	MAC    frame.MAC
	VLAN   uint16
	Port   int
	Age    time.Duration // since the last frame from the address, to a 256th of the ageing time
	Static bool          // from PortConfig.Static; Age is 0
}

// FDB returns the forwarding database, sorted by VLAN and MAC.
func (sw *Switch) FDB() []FDBEntry {
	if sw.cfgErr != nil {
		return nil
	}
	entries := sw.fdb.Entries()
	list := make([]FDBEntry, len(entries))
	for i, e := range entries {
		list[i] = FDBEntry{MAC: e.Key.MAC(), VLAN: e.Key.VLAN(), Port: e.Owner.num, Age: e.Age, Static: e.Static}
	}
	slices.SortFunc(list, func(a, b FDBEntry) int {
		if a.VLAN != b.VLAN {
			return int(a.VLAN) - int(b.VLAN)
		}
		return a.MAC.Compare(b.MAC)
	})
	return list
}

// FlushFDB removes all entries that were learned.
func (sw *Switch) FlushFDB() {
	if sw.fdb != nil {
		sw.fdb.Flush()
	}
}

// configureFDB makes p's entries those that conf allows.
func (p *port) configureFDB(conf *portConf) {
	static := make([]fdb.Key, len(conf.Static))
	for i, s := range conf.Static {
		static[i] = fdb.KeyOf(s.MAC, s.VLAN)
	}
	p.sw.fdb.Configure(&p.fdb, static, conf.MACLimit, conf.member)
}
