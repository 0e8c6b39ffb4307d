// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

// A tally is what a batch adds to the counters of the port it comes from.
type tally struct {
	frames, bytes, forwarded, flooded, copies uint64
	gsoFrames, segments, duplicated           uint64
	dropped                                   [numInCauses]uint64
}

// frame counts it as a frame that came in.
func (t *tally) frame(it *item) {
	t.frames++
	t.bytes += uint64(it.size)
	if it.segment != segmentNone {
		t.segments++
		if it.segment == segmentFirst {
			t.gsoFrames++
		}
	}
	if it.duplicate && it.segment != segmentNext {
		t.duplicated++
	}
}

// flush adds t to the counters of p and empties it; sw.forwarding is held for
// reading.
func (t *tally) flush(p *port) {
	if t.frames == 0 && t.copies == 0 {
		return
	}
	in := p.inNow()
	in.frames.Add(t.frames)
	in.bytes.Add(t.bytes)
	if t.forwarded > 0 {
		in.forwarded.Add(t.forwarded)
	}
	if t.flooded > 0 {
		in.flooded.Add(t.flooded)
	}
	if t.copies > 0 {
		in.copies.Add(t.copies)
	}
	if t.segments > 0 {
		in.gsoFrames.Add(t.gsoFrames)
		in.segments.Add(t.segments)
	}
	if t.duplicated > 0 {
		in.duplicated.Add(t.duplicated)
	}
	if t.forwarded < t.frames {
		for i, n := range t.dropped {
			if n > 0 {
				in.dropped[i].Add(n)
			}
		}
	}
	*t = tally{}
}
