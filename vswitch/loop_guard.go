// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"math/rand/v2"
	"slices"
	"time"
)

// A probeSend is a probe on its way to the endpoints of a port.
type probeSend struct {
	p      *port
	frames [][]byte // in the untagged VLAN, in a tagged one
}

// round does what is to be done now, and returns when to do it again: 0 if not before
// something happens.
func (g *loopGuard) round(now time.Time) (next time.Duration) {
	g.mu.Lock()
	returned, up := g.returned, g.up
	g.returned, g.up = make(map[*port]probe), make(map[*port]bool)
	g.mu.Unlock()

	g.sw.mu.Lock()
	if g.sw.closed {
		g.sw.mu.Unlock()
		return 0
	}
	for p := range up {
		p.loop.urgent = p.loop.Probed
	}
	for at, q := range returned {
		g.back(at, q, now)
	}
	next = g.openFree(now)
	sends, wait := g.due(now)
	g.sw.mu.Unlock()
	if wait > 0 && (next == 0 || wait < next) {
		next = wait
	}
	for _, s := range sends {
		if !g.send(s) {
			g.linkUp(s.p) // in another round: there was no room
		}
	}
	return next
}

// back looks at a probe that has come back at a port. What does not come back any more,
// or was repeated by somebody, is nothing new; sw.mu is held.
//
// Whoever repeats the probe of another port blocks the port at which it does so.
func (g *loopGuard) back(at *port, q probe, now time.Time) {
	from, s := g.sw.ports[q.port], &at.loop
	switch {
	case from == nil || !from.loop.Probed || len(*at.endpoints.Load()) == 0:
		return
	case q.seq > from.loop.seq || q.seq+probeWindow <= from.loop.seq:
		return
	case at != from && from.loop.Blocked:
		return // nothing but the probe has taken that way
	case s.Blocked:
		s.seen = now
		return
	case at == from || !s.Probed || at.num > from.num:
	case !s.strike(from, q.seq, now, 2*g.interval):
		return // the probes of this port, which come back at the other one, decide
	}
	g.block(at, from, now)
}

// strike counts probes of from that came back in a row, and reports whether there were
// enough.
func (s *loopState) strike(from *port, seq uint64, now time.Time, most time.Duration) bool {
	if s.strikeFrom != from || now.Sub(s.strikeAt) > most {
		s.strikes, s.strikeFrom = 0, from
	}
	if s.strikes == 0 || s.strikeSeq != seq {
		s.strikes++
		s.strikeSeq, s.strikeAt = seq, now
	}
	return s.strikes >= loopStrikes
}

// block blocks p, where a probe of from has come back; sw.mu is held. Addresses that were
// learned there may have come by the loop.
func (g *loopGuard) block(p, from *port, now time.Time) {
	s := &p.loop
	hold := loopHold * g.interval
	if !s.opened.IsZero() && now.Sub(s.opened) <= loopStable*g.interval {
		hold = min(2*s.hold, maxLoopHold*g.interval)
	}
	s.Blocked, s.Since, s.From, s.seen, s.hold, s.strikes = true, now, from.num, now, hold, 0
	s.wait = hold + time.Duration(rand.Int64N(int64(hold)/2+1))
	s.Blocks++
	g.blocked = append(g.blocked, p)
	p.setBlocked(true)
	g.sw.fdb.SetActive(&p.fdb, false)
	g.sw.cfg.Logger.Warn("loop found, port blocked until it is gone", "port", p.num, "from", from.num, "blocks", s.Blocks)
	g.sw.events.add(Event{Kind: EventBlocked, Port: p.num, OtherPort: from.num})
}

// open opens p again; sw.mu is held.
func (g *loopGuard) open(p *port, now time.Time, why string) {
	s := &p.loop
	s.Blocked, s.opened = false, now
	g.blocked = slices.DeleteFunc(g.blocked, func(q *port) bool { return q == p })
	p.setBlocked(false)
	if len(*p.endpoints.Load()) > 0 {
		g.sw.fdb.SetActive(&p.fdb, true)
	}
	// If the loop is there all the same, that is to be known soon.
	s.urgent = s.Probed
	if from := g.sw.ports[s.From]; from != nil {
		from.loop.urgent = from.loop.Probed
	}
	g.sw.cfg.Logger.Info("port no longer blocked", "port", p.num, "reason", why, "after", now.Sub(s.Since).Round(time.Millisecond))
	g.sw.events.add(Event{Kind: EventUnblocked, Port: p.num, Cause: why})
}

// openFree opens ports to which no probe has come back for long enough, and returns when
// to look again, 0 for never; sw.mu is held.
func (g *loopGuard) openFree(now time.Time) (next time.Duration) {
	for _, p := range slices.Clone(g.blocked) {
		left := p.loop.wait - now.Sub(p.loop.seen)
		if left <= 0 {
			g.open(p, now, "the loop is gone")
		} else if next == 0 || left < next {
			next = left
		}
	}
	return next
}

// setBlocked says whether p is blocked; sw.mu is held.
func (p *port) setBlocked(blocked bool) {
	conf := *p.conf.Load()
	conf.blocked = blocked
	p.conf.Store(&conf)
}

// due returns the probes to be sent now, and when the next ones are due, 0 for never;
// sw.mu is held.
func (g *loopGuard) due(now time.Time) (sends []probeSend, next time.Duration) {
	n := len(g.probed)
	if n == 0 {
		return nil, 0
	}
	slots := min(n, loopSlots)
	if wait := g.slotAt.Sub(now); wait <= 0 {
		for range (n + slots - 1) / slots {
			g.next %= n
			sends = append(sends, g.probeOf(g.probed[g.next]))
			g.next++
		}
		g.slotAt = now.Add(g.interval / time.Duration(slots))
	}
	next = g.slotAt.Sub(now)
	urgent := 0
	for _, p := range g.probed {
		if !p.loop.urgent {
			continue
		}
		if urgent++; urgent > maxUrgent {
			return sends, min(next, g.interval/loopSlots/4)
		}
		sends = append(sends, g.probeOf(p))
	}
	return sends, next
}

// probeOf makes the next probe of p; sw.mu is held. It leaves in the VLAN that has no tag
// there and in one of those with a tag, another one each time.
func (g *loopGuard) probeOf(p *port) probeSend {
	s, conf := &p.loop, p.conf.Load()
	s.urgent = false
	s.seq++
	q := probe{port: p.num, seq: s.seq}
	if g.sw.hub.Load() || g.sw.cfg.KeepTags {
		return probeSend{p, [][]byte{g.key.frame(q, false)}}
	}
	var frames [][]byte
	if conf.VLAN != NoVLAN {
		q.vlan = conf.VLAN
		frames = append(frames, g.key.frame(q, false))
	}
	if n := len(conf.Tagged); n > 0 {
		s.vlan = (s.vlan + 1) % n
		if v := conf.Tagged[s.vlan]; v != 0 && v != conf.VLAN {
			q.vlan = v
			frames = append(frames, g.key.frame(q, true))
		}
	}
	return probeSend{p, frames}
}

// send sends a probe to all endpoints of its port, without waiting, and reports false if
// there was no room.
func (g *loopGuard) send(s probeSend) bool {
	room := true
	g.sw.forwarding.RLock()
	defer g.sw.forwarding.RUnlock()
	for _, e := range *s.p.endpoints.Load() {
		if l, ok := e.egress.(*linkEndpoint); ok && l.redials && !l.link.Caps().State.State().Up {
			continue
		}
		for _, data := range s.frames {
			if cause, sent := sendProbe(e, data); !sent && cause == outFull {
				room = false
			}
		}
	}
	return room
}

// sendProbe sends a probe to e and counts it; sw.forwarding is held for reading.
func sendProbe(e *endpoint, data []byte) (cause dropCause, sent bool) {
	f := newForwarder(e)
	defer f.free()
	f.batch.add(data)
	f.batch.probe = true
	n, cause := e.offer(outgoing{b: &f.batch, items: []uint8{0}})
	out := e.port.outNow()
	out.offered.Add(1)
	out.probes.Add(1)
	if n == 0 {
		out.dropped[cause].Add(1)
	}
	return cause, n > 0
}
