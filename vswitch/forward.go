// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import "github.com/go-vde/sdk/frame"

// forward sends the frames of b on their ways, in order, and returns how many it
// has dealt with and counted: all of them unless b is exact, when err says why
// not.
func (b *batch) forward() (n int, err error) {
	sw := b.sw
	b.now = sw.table.now()
	if sw.hub.Load() {
		b.classifyHub()
	} else {
		b.classify()
	}
	b.mirrors = *b.in.mirrors.Load()
	split := b.undone && b.settle()
	sw.forwarding.RLock()
	if split {
		n, err = b.forwardSplit()
	} else {
		n, err = b.forwardItems()
	}
	b.flush()
	sw.forwarding.RUnlock()
	return n, err
}

// forwardItems is forward once the items have their ways; sw.forwarding is held
// for reading.
func (b *batch) forwardItems() (n int, err error) {
	for n < b.n && err == nil {
		switch it := &b.items[n]; it.way {
		case wayDrop:
			b.count(it)
			b.tally.dropped[it.cause]++
			n++
		case wayPort:
			if b.exact {
				var k int
				k, err = b.forwardRun(n)
				n += k
			} else {
				n += b.forwardGroups(n)
			}
		default:
			n += b.flood(n)
		}
	}
	if len(b.mirrors) > 0 {
		b.mirror(b.mirrors, b.whole(n), nil)
	}
	b.behead()
	return n, err
}

func (b *batch) count(it *item) {
	b.tally.frames++
	b.tally.bytes += uint64(it.size)
	if it.part != partNone {
		b.tally.splitInto++
		if it.part == partFirst {
			b.tally.split++
		}
	}
}

// checkSize reports whether it is a frame, as far as its size tells; if not, it
// is dropped.
func (b *batch) checkSize(it *item) bool {
	it.way = wayDrop
	switch {
	case it.size == 0:
		it.cause = inEmpty
	case it.size < frame.HeaderLen:
		it.cause = inRunt
	case it.off != frame.VNetHeader{}:
		cause, ok := b.checkOffload(it)
		it.cause = cause
		return ok
	case it.size > b.sw.cfg.MaxFrame || it.size > len(it.data):
		it.cause = inGiant
	default:
		return true
	}
	return false
}

// classifyHub finds the frames' ways in hub mode.
func (b *batch) classifyHub() {
	for i := range b.items[:b.n] {
		it := &b.items[i]
		if b.checkSize(it) {
			it.way = wayHub
			if b.in.conf.Load().StormLimit > 0 && !b.in.storm.take(b.now) {
				it.way, it.cause = wayDrop, inStorm
			}
		}
	}
}

// classify finds the frames' ways, and learns where they come from.
func (b *batch) classify() {
	var (
		t       = &b.sw.table
		conf    = b.in.conf.Load()
		lastSrc = ^tableKey(0) // known to be behind b.in; this is a group, so nobody's
		lastDst tableKey
		lastTo  *port // where lastDst is
	)
	t.mu.RLock()
	for i := range b.items[:b.n] {
		it := &b.items[i]
		if !b.checkSize(it) {
			continue
		}
		it.tagged = isTagged(it.data)
		it.vlan = conf.VLAN
		if it.tagged {
			if it.size < frame.HeaderLen+frame.TagLen {
				it.cause = inRunt
				continue
			}
			it.vlan = tagVLAN(it.data)
		}
		if !conf.member(it.vlan) {
			it.cause = inVLAN
			continue
		}
		if src := keyAt(it.data[6:], it.vlan); src != lastSrc && !src.isGroup() {
			if !t.refresh(src, b.in, b.now) {
				t.mu.RUnlock()
				ok := t.learn(src, b.in, b.now)
				t.mu.RLock()
				lastTo, lastDst = nil, 0
				if !ok {
					it.cause = inSecurity
					continue
				}
			}
			lastSrc = src
		}
		dst := keyAt(it.data, it.vlan)
		switch {
		case dst.isGroup():
			it.to = nil
		case dst == lastDst && lastTo != nil:
			it.to = lastTo
		default:
			it.to = t.lookup(dst, b.now)
			lastDst, lastTo = dst, it.to
		}
		switch {
		case it.to == nil && conf.StormLimit > 0 && !b.in.storm.take(b.now):
			it.cause = inStorm
		case it.to == nil:
			it.way = wayFlood
		case it.to == b.in:
			it.cause = inLocal
		default:
			it.way = wayPort
		}
	}
	t.mu.RUnlock()
}

// forwardRun forwards the items from first on that go to the same port and
// returns how many of them were dealt with, and why not all.
func (b *batch) forwardRun(first int) (n int, err error) {
	to := b.items[first].to
	group := b.group[:0]
	for i := first; i < b.n && b.items[i].way == wayPort && b.items[i].to == to; i++ {
		group = append(group, uint8(i))
	}
	n, err = b.deliver(to, group)
	for _, i := range group[:n] {
		b.count(&b.items[i])
	}
	b.tally.forwarded += uint64(n)
	return n, err
}

// forwardGroups forwards the items from first on that go to one port each, up to
// the next one that does not, and returns how many there were. Those for the
// same port go together. A frame that is flooded ends the groups, so that no port
// sees frames of one sender in another order.
func (b *batch) forwardGroups(first int) int {
	end := first
	for end < b.n && b.items[end].way == wayPort {
		b.count(&b.items[end])
		b.tally.forwarded++
		end++
	}
	for i := first; i < end; i++ {
		to := b.items[i].to
		if to == nil {
			continue // went with an earlier one
		}
		group := b.group[:0]
		for j := i; j < end; j++ {
			if b.items[j].to == to {
				group = append(group, uint8(j))
				b.items[j].to = nil
			}
		}
		b.deliver(to, group)
	}
	return end - first
}

// flood sends the items from first on that go everywhere to everybody they are
// for and returns how many there were.
func (b *batch) flood(first int) int {
	kind := b.items[first].way
	group := b.group[:0]
	for i := first; i < b.n && b.items[i].way == kind; i++ {
		b.count(&b.items[i])
		group = append(group, uint8(i))
	}
	b.tally.forwarded += uint64(len(group))
	b.tally.flooded += uint64(len(group))
	for _, p := range *b.sw.active.Load() {
		if !b.skips(p, kind) {
			b.deliverFlood(p, group, kind == wayHub)
		}
	}
	return len(group)
}

// skips reports whether what goes everywhere does not go to p.
func (b *batch) skips(p *port, kind way) bool {
	return p == b.in || kind == wayHub && p.num == 0
}

// members returns those of group that are of VLANs that conf's port is in.
func (b *batch) members(group []uint8, conf *portConf) []uint8 {
	sub := b.sub[:0]
	for _, i := range group {
		if conf.member(b.items[i].vlan) {
			sub = append(sub, i)
		}
	}
	return sub
}
