// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"time"

	"github.com/go-vde/sdk/link"
)

// A delivery hands frames of a batch to the endpoints of ports. sw.forwarding is
// held for reading while it does, but not while it waits for room.
type delivery struct {
	sw      *Switch
	in      *port
	batch   *batch
	wait    *waiter
	budget  *waitBudget // of the sender
	tally   *tally
	mirrors []*mirror // of in, as they were when forwarding began
	exact   bool      // the sender wants to know how many frames were taken
	late    bool      // the frames were offered and counted when they were delayed; see endpointLine
	asIs    bool      // frames leave as they came, whatever their VLAN

	inVLAN   [maxBatch]uint8 // items that a port gets; see members
	partials [maxBatch]uint8 // items that an endpoint gets; see eligible
}

// toPort hands the items of group, which go to p alone, to p's endpoints, and
// returns how many were dealt with: all unless d is exact, when err says why not.
func (d *delivery) toPort(p *port, group []uint8) (n int, err error) {
	d.settle(p)
	conf := p.conf.Load()
	as, items := conf, group
	if d.asIs {
		as = nil
	} else {
		items = d.members(group, conf)
	}
	endpoints, mirrors := *p.endpoints.Load(), *p.mirrors.Load()
	if len(endpoints) != 1 || len(items) != len(group) || len(d.eligible(endpoints[0], items)) != len(items) {
		// Several endpoints, on which the number of frames taken would differ, or
		// none any more; or p left a VLAN just after a look-up in it, or got
		// another endpoint.
		if len(items) > 0 {
			d.toAll(p, conf, as, items)
		}
		return len(group), nil
	}
	out := outgoing{b: d.batch, items: items, as: as, give: len(mirrors) == 0 && len(d.mirrors) == 0}
	n, err = d.toEndpoint(endpoints[0], conf, out)
	if len(mirrors) > 0 {
		d.mirror(mirrors, items[:n], as)
	}
	return n, err
}

// toAll hands items to all endpoints of p, whose configuration is conf, in the form
// that as asks for.
func (d *delivery) toAll(p *port, conf, as *portConf, items []uint8) {
	exact := d.exact
	d.exact = false
	for _, e := range *p.endpoints.Load() {
		out := outgoing{b: d.batch, items: d.eligible(e, items), as: as}
		if d.wait.try {
			d.offerAll(e, out)
		} else {
			_, _ = d.toEndpoint(e, conf, out) // fails only if d is exact
		}
	}
	d.exact = exact
	if mirrors := *p.mirrors.Load(); len(mirrors) > 0 {
		d.mirror(mirrors, items, as)
	}
}

// flood hands those of group that p is to get to p's endpoints, without waiting.
// In hub mode that is all of them, unchanged.
func (d *delivery) flood(p *port, group []uint8) {
	var as *portConf
	items := group
	if !d.asIs {
		as = p.conf.Load()
		if items = d.members(group, as); len(items) == 0 {
			return
		}
	}
	for _, e := range *p.endpoints.Load() {
		d.offerAll(e, outgoing{b: d.batch, items: d.eligible(e, items), as: as})
	}
	if mirrors := *p.mirrors.Load(); len(mirrors) > 0 {
		d.mirror(mirrors, items, as)
	}
}

// mirror copies items to mirrors, in the form that as asks for.
func (d *delivery) mirror(mirrors []*mirror, items []uint8, as *portConf) {
	if len(items) == 0 {
		return
	}
	for _, m := range mirrors {
		for _, e := range m.endpoints() {
			eligible := d.eligible(e, items)
			e.port.outNow().mirrored.Add(uint64(len(eligible)))
			d.offerAll(e, outgoing{b: d.batch, items: eligible, as: as})
		}
	}
}

// offerAll hands out to e and drops what it does not take at once.
func (d *delivery) offerAll(e *endpoint, out outgoing) {
	for len(out.items) > 0 {
		n, cause := e.offer(out)
		d.offered(e, n)
		out = out.from(n)
		if len(out.items) > 0 {
			out = out.from(d.drop(e, out.items, cause))
		}
	}
}

// toEndpoint hands out to e, waiting for room as the port's policy says, and
// returns how many were dealt with; err is not nil only if d is exact.
func (d *delivery) toEndpoint(e *endpoint, conf *portConf, out outgoing) (n int, err error) {
	last := false // no more waiting
	out.waits = conf.Policy == Backpressure
	for len(out.items) > 0 {
		k, cause := d.offer(e, out)
		if k > 0 {
			d.offered(e, k)
			if e.timeouts.Load() > 0 && (d.late || !e.delays()) {
				e.timeouts.Store(0)
			}
		}
		if n, out = n+k, out.from(k); len(out.items) == 0 {
			break
		}
		k = len(out.items) // to be dropped
		switch {
		case cause != outFull || conf.Policy != Backpressure:
		case d.wait.try:
			if k = d.begun(out.items); k == 0 {
				d.wait.full = e
				return n, link.ErrFull
			}
		default:
			if cause, err = d.awaitRoom(e, conf, &last, out.items, &k); err != nil {
				return n, err
			}
			if k == 0 {
				continue
			}
		}
		k = d.drop(e, out.items[:k], cause)
		n, out = n+k, out.from(k)
	}
	return n, nil
}

// awaitRoom waits for room for items at e, unless conf or e's past say that it is
// of no use, and sets drop to the number of items to be dropped, for cause. last
// is set when there is to be no more waiting.
func (d *delivery) awaitRoom(e *endpoint, conf *portConf, last *bool, items []uint8, drop *int) (cause dropCause, err error) {
	left := Forever
	if conf.Wait != Forever {
		left = max(conf.Wait-d.wait.waited, 0)
	}
	switch {
	case *last || left == 0:
		e.timeouts.Add(1)
		return outTimeout, nil
	case left != Forever:
		if e.timeouts.Load() >= maxTimeouts {
			return outStalled, nil
		}
		if left = d.budget.allows(e, left); left == 0 {
			return outStalled, nil
		}
	}
	result := d.pause(e, left)
	if result == waitAborted {
		if d.exact {
			if *drop = d.begun(items); *drop == 0 {
				return 0, d.wait.err()
			}
		}
		if d.late {
			return outClosed, nil // it is its own endpoint's end that ends the waiting
		}
		return outTimeout, nil
	}
	*last = result == waitTimeout
	*drop = 0
	return 0, nil
}

// pause waits for room at e, with the counters flushed and nobody held up.
func (d *delivery) pause(e *endpoint, left time.Duration) waitResult {
	d.tally.flush(d.in)
	d.sw.forwarding.RUnlock()
	defer d.sw.forwarding.RLock()
	d.wait.block()
	start := time.Now()
	r := d.await(e, left)
	now := time.Now()
	waited := now.Sub(start)
	d.wait.waited += waited
	if left != Forever {
		d.budget.waited(e, waited, now)
	}
	return r
}

// settle charges the sender for having waited for another port than p, if it has:
// frames for p may have been behind, and p has nothing left to read. It is called
// before these are delivered. A nil p stands for several.
func (d *delivery) settle(p *port) {
	if q := d.budget.waitedFor.Load(); q != nil && q != p && (p == nil || p.idle()) {
		d.budget.delayed()
	}
}

// offer offers out to e, or to its egress if that was done before.
func (d *delivery) offer(e *endpoint, out outgoing) (n int, cause dropCause) {
	if d.late {
		return e.egress.offer(out)
	}
	return e.offer(out)
}

// await waits where offer has found no room.
func (d *delivery) await(e *endpoint, left time.Duration) waitResult {
	if d.late {
		return e.egress.await(d.wait, left)
	}
	return e.await(d.wait, left)
}

// offered counts n copies that e took or queued.
func (d *delivery) offered(e *endpoint, n int) {
	if d.late {
		return
	}
	e.port.outNow().offered.Add(uint64(n))
	d.tally.copies += uint64(n)
}

// drop drops the first of items, which e did not take, and those after it that
// would fare the same, and returns how many.
func (d *delivery) drop(e *endpoint, items []uint8, cause dropCause) int {
	n := len(items)
	if cause == outTooLong {
		n = 1
	}
	e.port.outNow().dropped[cause].Add(uint64(n))
	d.offered(e, n)
	if e.info.Kind == KindMonitor {
		e.missed.Add(uint64(n))
	}
	return n
}

// begun returns how many of items, from the first on, continue a GSO frame whose
// first segments have been dealt with.
func (d *delivery) begun(items []uint8) (n int) {
	for n < len(items) && d.batch.items[items[n]].segment == segmentNext {
		n++
	}
	return n
}

// members returns those of group that are of VLANs that conf's port is in. The
// result is valid until the next call.
func (d *delivery) members(group []uint8, conf *portConf) []uint8 {
	list := d.inVLAN[:0]
	for _, i := range group {
		if conf.member(d.batch.items[i].vlan) {
			list = append(list, i)
		}
	}
	return list
}

// eligible returns those of items that e is to get. That is all of them, unless
// some are partial and e does not take them: then it was attached, or made a
// mirror's, after they were resolved, and it is as if they had passed before
// that. The result is valid until the next call.
func (d *delivery) eligible(e *endpoint, items []uint8) []uint8 {
	if !d.batch.partial {
		return items
	}
	offload := e.egress.offload()
	if offload == offloadAll {
		return items
	}
	list := d.partials[:0]
	for _, i := range items {
		if offload.Takes(d.batch.items[i].header) {
			list = append(list, i)
		}
	}
	return list
}
