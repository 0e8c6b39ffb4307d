// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"strings"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vswitch"
)

// all returns the ledgers of all ports.
func (n *cleanNetwork) all() map[int]ledger {
	all := make(map[int]ledger)
	for _, st := range n.stations {
		b := st.ledger()
		b.tx += st.raw
		all[st.num] = b
	}
	for num, b := range n.tcp.ledger() {
		all[num] = b
	}
	for num, b := range n.cLedgers {
		all[num] = b
	}
	for _, p := range n.peers {
		b := n.cLedgers[p.num]
		r := p.report()
		b.tx += r.Sent
		b.rx += r.Frames + r.Duplicates + r.Corrupt + r.Other
		all[p.num] = b
	}
	return all
}

// differences returns where the ledgers do not agree, or "", and the ledgers. All
// stations are silent, so when the ledgers agree, no frame is under way. What the
// hosts send by themselves later is in the next count.
func (n *cleanNetwork) differences() (text string, all map[int]ledger, ports map[int]vswitch.PortStats) {
	var list strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&list, format+"\n", args...) }
	all = n.all()
	ports = n.ports()
	for num, b := range n.all() {
		p := ports[num]
		if b != all[num] {
			say("port %d: its ledger changes", num)
		}
		var purged, forgotten uint64 // at most
		if num == n.departing().num {
			purged = n.purged.bound
		}
		if num == n.evicted().num {
			forgotten = n.forgotten.bound
		}
		if b.tx < p.In.Frames || b.tx-p.In.Frames > purged {
			say("port %d: sent %d, but %d came to the switch", num, b.tx, p.In.Frames)
		}
		if num == cPorts[testpeers.CSource] {
			b.rx = p.Out.Frames // it never reads, and does not count
		}
		if p.Out.Frames < b.rx || p.Out.Frames-b.rx > forgotten {
			say("port %d: the switch delivered %d, %d were received", num, p.Out.Frames, b.rx)
		}
		if p.In.Frames != p.In.Forwarded+p.In.Dropped.Sum() {
			say("port %d: %+v", num, p.In)
		}
		if p.Out.Queued != 0 || p.Out.Offered != p.Out.Frames+p.Out.Dropped.Sum() {
			say("port %d: %+v", num, p.Out)
		}
	}
	var copies, offered uint64
	for _, p := range ports {
		copies += p.In.Copies
		offered += p.Out.Offered
	}
	if copies != offered {
		say("%d copies, %d offered", copies, offered)
	}
	for _, st := range n.stations {
		list.WriteString(st.lineDiffers())
		b := st.ledger()
		if st.sent != b.accepted {
			say("%s: write methods said %d, the connections count %d", st.name, st.sent, b.accepted)
		}
		if seen := st.seen.Load(); seen != b.delivered {
			say("%s: %d frames seen, the connections count %d", st.name, seen, b.delivered)
		}
	}
	if say := n.tcp.differences(); say != "" {
		list.WriteString(say)
	}
	return list.String(), all, ports
}

// sum adds what has changed since the last count to the totals of the run.
func (n *cleanNetwork) sum(all map[int]ledger, ports map[int]vswitch.PortStats) {
	now := totals{}
	for num, b := range all {
		p := ports[num]
		now.sent += b.tx
		now.came += p.In.Frames
		now.purged.frames += b.tx - p.In.Frames
		now.forwarded += p.In.Forwarded
		now.copies += p.Out.Offered
		now.taken += p.Out.Frames
		now.received += b.rx
		if num == cPorts[testpeers.CSource] {
			now.unread += p.Out.Frames
		} else {
			now.forgotten.frames += p.Out.Frames - b.rx
		}
		now.in = plus(now.in, p.In.Dropped)
		now.out = plus(now.out, p.Out.Dropped)
	}
	now.purged.bound, now.forgotten.bound = n.purged.bound, n.forgotten.bound
	old := &n.counted
	n.s.totals.add(func(t *totals) {
		t.counts++
		t.sent += now.sent - old.sent
		t.came += now.came - old.came
		t.forwarded += now.forwarded - old.forwarded
		t.copies += now.copies - old.copies
		t.taken += now.taken - old.taken
		t.received += now.received - old.received
		t.unread += now.unread - old.unread
		t.purged.add(now.purged.frames-old.purged.frames, now.purged.bound-old.purged.bound)
		t.forgotten.add(now.forgotten.frames-old.forgotten.frames, now.forgotten.bound-old.forgotten.bound)
		t.in = plus(t.in, minus(now.in, old.in))
		t.out = plus(t.out, minus(now.out, old.out))
	})
	old.sent, old.came, old.purged, old.forwarded = now.sent, now.came, now.purged, now.forwarded
	old.copies, old.taken, old.received, old.unread, old.forgotten = now.copies, now.taken, now.received, now.unread, now.forgotten
	old.in, old.out = now.in, now.out
}
