// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// A partial frame lacks its checksum, or is a GSO frame that is still to be
// segmented. It stays so if every endpoint that gets it takes it, and is made
// ordinary for all of them otherwise.

// A segmentKind says what an item has to do with a GSO frame that is segmented.
type segmentKind uint8

const (
	segmentNone  segmentKind = iota
	segmentGSO               // the GSO frame
	segmentFirst             // the first segment
	segmentNext              // another one
)

// A resolver decides about the partial frames of a batch.
type resolver struct {
	sw      *Switch
	in      *port
	b       *batch
	mirrors []*mirror // of in
}

// resolve completes checksums and marks GSO frames that are to be segmented; it
// reports whether there are any of those. What the frames were classified by, and
// which endpoints there are, may change afterwards; see delivery.eligible.
func (r *resolver) resolve() (segment bool) {
	r.b.partial = false
	for i := range r.b.items[:r.b.n] {
		it := &r.b.items[i]
		switch {
		case !it.header.Partial() || !it.isWhole():
		case mirrorsTake(r.mirrors, it.header) && r.taken(it):
			r.b.partial = true
		case it.header.GSOType == frame.GSONone:
			r.b.own(it)
			gso.Finish(it.header, it.data)
			it.header = frame.VNetHeader{}
		default:
			it.segment = segmentGSO
			segment = true
			if it.verdict != verdictDrop && it.to == nil && r.in.conf.Load().StormLimit > 0 {
				r.in.storm.charge(gso.Count(it.header, it.data) - 1)
			}
		}
	}
	return segment
}

// taken reports whether all ports that it is for take it partial.
func (r *resolver) taken(it *item) bool {
	switch it.verdict {
	case verdictPort:
		return it.to.takesPartial(it)
	case verdictFlood, verdictHub:
		conf := r.in.conf.Load()
		for p := range r.sw.active.Load().all {
			if skips(r.in, conf, p, it.verdict) || it.verdict == verdictFlood && !r.sw.cfg.KeepTags && !p.conf.Load().member(it.vlan) {
				continue
			}
			if !p.takesPartial(it) {
				return false
			}
		}
	}
	return true
}

// takesPartial reports whether all endpoints and mirrors of p take it partial.
func (p *port) takesPartial(it *item) bool {
	for _, e := range *p.endpoints.Load() {
		if !e.offload().Takes(it.header) {
			return false
		}
	}
	if len(it.data) > frame.MaxGSO-frame.TagLen && !it.tagged && p.conf.Load().VLAN != it.vlan {
		return false // with the tag that it needs there, it would be too long
	}
	return mirrorsTake(*p.mirrors.Load(), it.header)
}

// mirrorsTake reports whether all mirrors take partial frames with header h.
func mirrorsTake(mirrors []*mirror, h frame.VNetHeader) bool {
	for _, m := range mirrors {
		for _, e := range m.endpoints() {
			if !e.offload().Takes(h) {
				return false
			}
		}
	}
	return true
}

// offloadAll is what the switch itself takes.
const offloadAll = link.OffloadChecksum | link.OffloadTSO

// gsoRounds is what segmenting needs besides the batch. What a batch becomes may
// be more than fits into one, so it is forwarded in rounds: in each, the batch's
// own items are the next segments and frames in order, and the items that came
// are here.
type gsoRounds struct {
	items [maxBatch]item
	from  [maxBatch]uint8 // of the round's items: which of items it is, or is a segment of
	n     int             // how many items there are
	next  int             // how many of them have been in a round to their end
	begun bool            // segments are being made of items[next]
	seg   gso.Segmenter
}

// begin moves the items of b to x.
func (x *gsoRounds) begin(b *batch) {
	x.n, x.next, x.begun = b.n, 0, false
	copy(x.items[:], b.items[:b.n])
	clear(b.items[:b.n])
	b.n = 0
}

// end moves the items back to b, which has none.
func (x *gsoRounds) end(b *batch) {
	b.n = x.n
	copy(b.items[:], x.items[:x.n])
	clear(x.items[:x.n])
	x.seg = gso.Segmenter{} // what it was lent goes back
}

// fill makes the next round of b's items, which are none.
func (x *gsoRounds) fill(b *batch) {
	for x.next < x.n && b.n < maxBatch {
		it := &x.items[x.next]
		switch {
		case it.segment != segmentGSO:
			b.items[b.n] = *it
			x.from[b.n] = uint8(x.next)
			b.n++
			x.next++
		case x.segment(b, it):
			x.from[b.n] = uint8(x.next)
			b.n++
		default:
			x.begun = false
			x.next++
		}
	}
}

// segment makes the next segment of g item b.n of b, and reports whether there
// was another one.
func (x *gsoRounds) segment(b *batch, g *item) bool {
	kind := segmentNext
	if !x.begun {
		x.seg.Reset(g.header, g.data)
		x.begun = true
		kind = segmentFirst
	}
	buf := b.buffers.of(gso.Longest(g.header, len(g.data))).Get()
	size, ok := x.seg.Next(buf.Bytes())
	if !ok {
		buf.Release()
		return false
	}
	buf.SetLen(size)
	b.items[b.n] = item{
		data: buf.Bytes(), buf: buf, size: size,
		vlan: g.vlan, tagged: g.tagged,
		verdict: g.verdict, cause: g.cause, to: g.to, segment: kind, duplicate: g.duplicate,
	}
	return true
}

// drain puts the round's items back where they came from, and releases the
// segments.
func (x *gsoRounds) drain(b *batch) {
	for i := range b.items[:b.n] {
		if it := &b.items[i]; it.segment == segmentNone {
			x.items[x.from[i]] = *it
			*it = item{}
		}
	}
	b.clear()
}
