// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

// A forwarder forwards the frames of one port, a batch at a time. Its memory is
// kept in the switch between batches: an idle port needs none.
type forwarder struct {
	sw   *Switch
	in   *port
	from *endpoint
	late bool // the frames have been through the line of from, if it has one

	batch    batch
	wait     waiter
	tally    tally
	delivery delivery
	rounds   *gsoRounds // nil until needed

	exact bool            // the sender wants to know how many frames were taken
	group [maxBatch]uint8 // items to deliver together

	hubPorts []*port // memory for classifier.single
}

// newForwarder returns a forwarder with an empty batch of frames that come from
// an endpoint. (One pool for all switches would carry timers into and out of synctest's
// bubbles.)
func newForwarder(from *endpoint) *forwarder {
	in := from.port
	f, ok := in.sw.forwarders.Get().(*forwarder)
	if !ok {
		f = new(forwarder)
		f.batch.buffers = in.sw.buffers
		f.delivery.batch, f.delivery.wait, f.delivery.tally = &f.batch, &f.wait, &f.tally
	}
	f.sw, f.in, f.from, f.late, f.exact = in.sw, in, from, false, false
	f.delivery.sw, f.delivery.in, f.delivery.budget, f.delivery.late = in.sw, in, &from.budget, false
	f.batch.reset()
	f.wait.reset()
	return f
}

// free gives f back. Buffers that its items still hold are released, receive
// buffers left to their owner.
func (f *forwarder) free() {
	f.batch.clear()
	f.wait.reset()
	sw := f.sw
	f.sw, f.in, f.from = nil, nil, nil
	f.delivery.sw, f.delivery.in, f.delivery.budget, f.delivery.mirrors = nil, nil, nil, nil
	sw.forwarders.Put(f)
}

// forward sends the frames of the batch on their ways, in order, and returns how
// many it has dealt with and counted: all of them unless f is exact, when err
// says why not.
func (f *forwarder) forward() (n int, err error) {
	if l := f.from.impaired.in.line.Load(); l != nil && !f.late {
		if n, ok, err := l.take(f); ok {
			return n, err
		}
	}
	c := classifier{sw: f.sw, in: f.in, conf: f.in.conf.Load(), b: &f.batch, now: f.sw.fdb.Now(), guarded: f.sw.loops.active.Load()}
	hub := f.sw.hub.Load()
	f.delivery.asIs = hub || f.sw.cfg.KeepTags
	if hub {
		c.classifyHub(f)
	} else {
		c.classify()
	}
	f.delivery.mirrors, f.delivery.exact = *f.in.mirrors.Load(), f.exact
	if f.wait.onBlock != nil && f.isLong() {
		f.wait.release()
	}
	segment := false
	if f.batch.partial {
		f.wait.release() // checksums and segments take long
		r := resolver{f.sw, f.in, &f.batch, f.delivery.mirrors}
		segment = r.resolve()
	}
	if segment {
		return f.forwardRounds()
	}
	return f.forwardRound()
}

// forwardRound is forward once the items have their verdicts.
func (f *forwarder) forwardRound() (n int, err error) {
	f.sw.forwarding.RLock()
	defer f.sw.forwarding.RUnlock()
	n, err = f.forwardItems()
	f.tally.flush(f.in)
	if b := f.delivery.budget; b.waitedFor.Load() != nil {
		b.frames.Add(uint64(n))
	}
	return n, err
}

// A batch with more than longBatch bytes, or for more than manyPorts, takes more
// than a few microseconds to forward.
const (
	longBatch = 16 << 10
	manyPorts = 16
)

// isLong reports whether the items, which have their verdicts, are such a batch.
func (f *forwarder) isLong() bool {
	bytes, ports := 0, len(f.delivery.mirrors)
	for i := range f.batch.items[:f.batch.n] {
		it := &f.batch.items[i]
		bytes += len(it.data)
		switch it.verdict {
		case verdictDrop:
		case verdictPort:
			ports = max(ports, len(*it.to.endpoints.Load()))
		default:
			ports = max(ports, f.sw.active.Load().len)
		}
	}
	return bytes > longBatch || ports > manyPorts
}

// forwardRounds is forwardRound for a batch with GSO frames that are to be
// segmented. It returns how many of the items that came were dealt with; their
// receive buffers are where they were. No lock is held while segments are made, and
// none for longer than one round takes.
//
// A GSO frame has been dealt with when all its segments have been. If f is exact,
// one whose first segment was not taken was not taken; once it was, the others
// are no reason to stop: those that do not fit are dropped, and counted, where
// they should have gone. So a sender that continues behind what was taken sends
// nothing twice.
func (f *forwarder) forwardRounds() (n int, err error) {
	if f.rounds == nil {
		f.rounds = new(gsoRounds)
	}
	x, b := f.rounds, &f.batch
	x.begin(b)
	for x.next < x.n && err == nil {
		x.fill(b)
		n, err = f.forwardRound()
		if n < b.n {
			n = int(x.from[n])
		} else {
			n = x.next
		}
		x.drain(b)
	}
	x.end(b)
	return n, err
}

// forwardItems is forwardRound with sw.forwarding held for reading.
func (f *forwarder) forwardItems() (n int, err error) {
	for n < f.batch.n && err == nil {
		switch it := &f.batch.items[n]; it.verdict {
		case verdictDrop:
			f.tally.frame(it)
			f.tally.dropped[it.cause]++
			n++
		case verdictPort:
			if f.exact {
				var k int
				k, err = f.forwardRun(n)
				n += k
			} else {
				n += f.forwardGroups(n)
			}
		default:
			n += f.flood(n)
		}
	}
	if len(f.delivery.mirrors) > 0 {
		f.delivery.mirror(f.delivery.mirrors, f.whole(n), nil)
	}
	return n, err
}

// forwardRun forwards the items from first on that go to the same port and
// returns how many of them were dealt with, and why not all.
func (f *forwarder) forwardRun(first int) (n int, err error) {
	items := f.batch.items[:f.batch.n]
	to := items[first].to
	group := f.group[:0]
	for i := first; i < len(items) && items[i].verdict == verdictPort && items[i].to == to; i++ {
		group = append(group, uint8(i))
	}
	n, err = f.delivery.toPort(to, group)
	for _, i := range group[:n] {
		f.tally.frame(&items[i])
	}
	f.tally.forwarded += uint64(n)
	return n, err
}

// forwardGroups forwards the items from first on that go to one port each, up to
// the next one that does not, and returns how many there were. Those for the
// same port go together. A frame that is flooded ends the groups, so that no port
// sees frames of one sender in another order.
func (f *forwarder) forwardGroups(first int) int {
	items := f.batch.items[:f.batch.n]
	end := first
	for end < len(items) && items[end].verdict == verdictPort {
		f.tally.frame(&items[end])
		f.tally.forwarded++
		end++
	}
	for i := first; i < end; i++ {
		to := items[i].to
		if to == nil {
			continue // went with an earlier one
		}
		group := f.group[:0]
		for j := i; j < end; j++ {
			if items[j].to == to {
				group = append(group, uint8(j))
				items[j].to = nil
			}
		}
		_, _ = f.delivery.toPort(to, group) // fails only if f is exact
	}
	return end - first
}

// flood sends the items from first on that are flooded to every port they are
// for and returns how many there were.
func (f *forwarder) flood(first int) int {
	items := f.batch.items[:f.batch.n]
	kind := items[first].verdict
	group := f.group[:0]
	for i := first; i < len(items) && items[i].verdict == kind; i++ {
		f.tally.frame(&items[i])
		group = append(group, uint8(i))
	}
	f.tally.forwarded += uint64(len(group))
	f.tally.flooded += uint64(len(group))
	f.delivery.settle(nil)
	copies := f.tally.copies
	conf := f.in.conf.Load()
	for p := range f.sw.active.Load().all {
		if skips(f.in, conf, p, kind) {
			continue
		}
		f.delivery.flood(p, group)
		if f.tally.copies-copies >= longFlood {
			f.yield()
			copies = 0
		}
	}
	return len(group)
}

// longFlood is how many copies are made before Stats may have its turn, for which all
// who forward wait: some tens to hundreds of microseconds' work.
const longFlood = 256

// yield lets Stats have its turn.
func (f *forwarder) yield() {
	f.tally.flush(f.in)
	f.sw.forwarding.RUnlock()
	f.sw.forwarding.RLock()
}

// skips reports whether frames from in, whose configuration is conf, that are flooded
// do not go to p.
func skips(in *port, conf *portConf, p *port, kind verdict) bool {
	return p == in || kind == verdictHub && p.num == 0 || conf.Isolated && p.conf.Load().Isolated
}

// whole returns those of the first n items that are whole frames.
func (f *forwarder) whole(n int) []uint8 {
	group := f.group[:0]
	for i := range f.batch.items[:n] {
		if f.batch.items[i].isWhole() {
			group = append(group, uint8(i))
		}
	}
	return group
}
