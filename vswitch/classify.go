// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/vswitch/internal/fdb"
)

// A classifier finds the verdicts on the frames of a batch.
type classifier struct {
	sw   *Switch
	in   *port
	conf *portConf // of in
	b    *batch
	now  int64 // FDB time

	guarded bool // there may be probes, or a blocked port

	retag bool // some items are to be given their VLAN; see putVLANs
}

// classify finds the verdicts, and learns where the frames come from.
func (c *classifier) classify() {
	var (
		t       = c.sw.fdb
		conf    = c.conf
		lastSrc = fdb.NoKey // known to be behind in
		lastDst fdb.Key
		lastTo  *port // where lastDst is
	)
	t.RLock()
	for i := range c.b.items[:c.b.n] {
		it := &c.b.items[i]
		if !c.checkSize(it) || !c.checkVLAN(it) || c.guarded && !c.checkLoop(it, c.sw.cfg.KeepTags) {
			continue
		}
		if src := fdb.KeyAt(it.data[6:], it.vlan); src != lastSrc {
			if src.IsGroup() {
				it.cause = inGroup
				continue
			}
			result := t.Source(src, &c.in.fdb, c.now)
			if result == fdb.Learnable {
				t.RUnlock()
				if !t.Learn(src, &c.in.fdb, c.now) {
					result = fdb.Refused
				}
				t.RLock()
				lastTo, lastDst = nil, 0
			}
			if result == fdb.Refused {
				it.cause = inSecurity
				continue
			}
			lastSrc = src
		}
		dst := fdb.KeyAt(it.data, it.vlan)
		switch {
		case dst.IsGroup():
			it.to = nil
		case dst == lastDst && lastTo != nil:
			it.to = lastTo
		default:
			it.to = t.Lookup(dst, c.now)
			lastDst, lastTo = dst, it.to
		}
		switch {
		case it.to == nil && conf.StormLimit > 0 && !c.in.storm.take(c.now):
			it.cause = inStorm
		case it.to == nil:
			it.verdict = verdictFlood
		case !c.leaves(it):
		default:
			it.verdict = verdictPort
		}
	}
	t.RUnlock()
	if c.retag {
		c.putVLANs()
	}
}

// leaves reports whether an item for a known address may go to its port; if not, it is
// dropped.
func (c *classifier) leaves(it *item) bool {
	switch {
	case it.to == c.in:
		it.cause = inLocal
	case c.conf.Isolated && it.to.conf.Load().Isolated:
		it.cause = inIsolated
	default:
		return true
	}
	return false
}

// readTag finds the VLAN of it, which has a tag, and reports whether the tag is
// whole and one that the port may send; if not, it is dropped.
//
// A tag of VLAN 0 is a priority tag: the frame is of the port's own VLAN, as if it
// had none, unless frames of VLAN 0 are to have one here. Whether it came with a
// priority tag, or with the VLAN's own to a port that takes frames without: once the
// tag is removed, a second one would be the first, and the frame in another VLAN
// behind the next switch.
func (c *classifier) readTag(it *item) bool {
	if it.size < frame.HeaderLen+frame.TagLen {
		it.cause = inRunt
		return false
	}
	switch v := tagVLAN(it.data); {
	case v == 0 && (c.conf.tagged == nil || !c.conf.tagged.has(0)):
		if it.size >= frame.HeaderLen+2*frame.TagLen && isTagged(it.data[frame.TagLen:]) {
			it.cause = inTagged
			return false
		}
		it.retag = it.vlan != 0
		c.retag = c.retag || it.retag
	case v == c.conf.VLAN && c.conf.tagged == nil:
		it.cause = inTagged
		return false
	default:
		it.vlan = v
	}
	return true
}

// putVLANs puts the VLAN into priority tags, so that they are tags like others. The
// priority stays.
func (c *classifier) putVLANs() {
	for i := range c.b.items[:c.b.n] {
		if it := &c.b.items[i]; it.retag && it.verdict != verdictDrop {
			c.b.own(it)
			putVLAN(it.data, it.vlan)
		}
	}
}

// checkVLAN finds the VLAN of an item, and whether the port may send to it.
func (c *classifier) checkVLAN(it *item) bool {
	it.tagged, it.vlan = isTagged(it.data), c.conf.VLAN
	if c.sw.cfg.KeepTags {
		it.vlan = 0
		if it.tagged && it.size >= frame.HeaderLen+frame.TagLen {
			it.vlan = tagVLAN(it.data)
		}
		return true
	}
	if it.tagged && !c.readTag(it) {
		return false
	}
	if !c.conf.member(it.vlan) {
		it.cause = inVLAN
		return false
	}
	return true
}

// checkLoop reports whether an item is to be forwarded as far as loops are concerned: it
// is no probe of this switch, and the port is not blocked. In hub mode VLANs are one.
func (c *classifier) checkLoop(it *item, anyVLAN bool) bool {
	switch {
	case it.data[0] == probeDst()[0] && c.sw.loops.take(c.in, it, anyVLAN):
		it.cause = inProbe
	case c.conf.blocked:
		it.cause = inBlocked
	default:
		return true
	}
	return false
}

// checkSize reports whether it is a frame, as far as its size and its metadata
// tell; if not, it is dropped.
func (c *classifier) checkSize(it *item) bool {
	it.verdict = verdictDrop
	switch {
	case it.size == 0:
		it.cause = inEmpty
	case it.size < frame.HeaderLen:
		it.cause = inRunt
	case c.b.metadata && !it.header.IsZero():
		return c.checkMetadata(it)
	case it.size > c.sw.cfg.MaxFrameSize || it.size > len(it.data):
		it.cause = inGiant
	default:
		return true
	}
	return false
}

// checkMetadata is checkSize for a frame with something in its virtio-net header.
func (c *classifier) checkMetadata(it *item) bool {
	switch {
	case it.size > len(it.data) || it.size > frame.MaxGSO,
		it.header.GSOType == frame.GSONone && it.size > c.sw.cfg.MaxFrameSize:
		it.cause = inGiant
		return false
	}
	h, err := gso.AcceptUSO(it.header, it.data, it.size)
	switch {
	case err == gso.ErrSegments:
		it.cause = inSegments
		return false
	case err != nil:
		it.cause = inOffload
		return false
	case gso.Longest(h, it.size) > c.sw.cfg.MaxFrameSize:
		it.cause = inGiant
		return false
	}
	it.header = h
	c.b.partial = c.b.partial || it.header.Partial()
	return true
}
