// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A LoopProtection says whether the switch sends probes from a port, frames that find
// out whether what leaves by the port comes back. A port, of any kind, on which a probe
// comes back is blocked: nothing but probes passes there until no probe has come back
// for a while. Of two ports with probes that reach each other the one with the higher
// number is blocked, otherwise the one on which the probe has arrived. See
// docs/loops.md.
type LoopProtection int

const (
	// LoopProtectionAuto sends probes if one of the port's endpoints is an uplink; see
	// [LinkConfig].
	LoopProtectionAuto LoopProtection = iota

	LoopProtectionOn
	LoopProtectionOff
)

var loopProtectionNames = [...]string{"auto", "on", "off"}

// String returns "auto", "on" or "off".
func (p LoopProtection) String() string {
	if p < 0 || int(p) >= len(loopProtectionNames) {
		return fmt.Sprintf("LoopProtection(%d)", int(p))
	}
	return loopProtectionNames[p]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (p LoopProtection) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *LoopProtection) UnmarshalText(b []byte) error {
	i := slices.Index(loopProtectionNames[:], string(b))
	if i < 0 {
		return fmt.Errorf("unknown loop protection %q, want one of %s", b, strings.Join(loopProtectionNames[:], ", "))
	}
	*p = LoopProtection(i)
	return nil
}

// A LoopInfo says what is known about loops at a port.
type LoopInfo struct {
	Probed  bool      // probes are sent from the port
	Blocked bool      // a probe has come back here
	Since   time.Time `json:",omitzero"`  // when it was blocked last
	From    int       `json:",omitempty"` // the port that the probe was sent from
	Blocks  uint64    // how often it was blocked
}

const (
	// DefaultLoopInterval is how often probes are sent from a port.
	DefaultLoopInterval = time.Second

	// loopHold is how many intervals a blocked port has to be without a probe to be
	// opened again, at least; a random part of up to a half is added, so that two
	// switches that have each blocked a port of the same loop do not open them at the
	// same time. It doubles each time that the port was open for no longer than
	// loopStable intervals, up to maxLoopHold.
	loopHold    = 10
	loopStable  = 60
	maxLoopHold = 300

	// loopSlots is how many portions an interval is divided into: the probes of many
	// ports do not leave at once.
	loopSlots = 20

	// maxUrgent is how many probes are sent at once beyond those that are due, from
	// ports that have just come up.
	maxUrgent = 8

	// loopStrikes is how many probes in a row have to come back from a port with a
	// higher number, which would have been blocked if its way back existed.
	loopStrikes = 3

	// probeWindow is how many probes of a port count as recent.
	probeWindow = 3
)

// A loopState is what a port has to do with loops; sw.mu guards it.
type loopState struct {
	LoopInfo
	seq    uint64        // of the last probe
	urgent bool          // to be sent in the next round
	vlan   int           // index of the tagged VLAN of the next probe
	seen   time.Time     // when a probe was back last, while it is blocked
	hold   time.Duration // of this block, at least
	wait   time.Duration // how long no probe has to come back
	opened time.Time     // after the last block

	strikes    int // of probes from the port strikeFrom
	strikeFrom *port
	strikeSeq  uint64
	strikeAt   time.Time
}

// A loopGuard finds loops. One goroutine sends the probes of all ports, and blocks ports
// and opens them again. It runs once a port has had probes.
type loopGuard struct {
	sw       *Switch
	interval time.Duration
	key      *probeKey
	active   atomic.Bool // there may be probes to look for
	kick     chan struct{}
	stop     chan struct{}

	// Guarded by sw.mu.
	probed  []*port   // those that probes are sent from, by number
	next    int       // index in probed of the next one
	slotAt  time.Time // when the next portion is due
	blocked []*port

	mu       sync.Mutex      // taken while forwarding, and held for a moment
	returned map[*port]probe // guarded by mu; the last probe that has come back at each port
	up       map[*port]bool  // guarded by mu; whose links have come up
}

func newLoopGuard(sw *Switch, interval time.Duration) *loopGuard {
	return &loopGuard{
		sw: sw, interval: interval, key: newProbeKey(),
		kick: make(chan struct{}, 1), stop: make(chan struct{}),
		returned: make(map[*port]probe), up: make(map[*port]bool),
	}
}

// update starts and ends probes from p after a change of its endpoints or its
// configuration; sw.mu is held.
func (g *loopGuard) update(p *port) {
	endpoints := *p.endpoints.Load()
	want := len(endpoints) > 0
	switch p.conf.Load().LoopProtection {
	case LoopProtectionAuto:
		want = slices.ContainsFunc(endpoints, func(e *endpoint) bool { return e.info.Uplink })
	case LoopProtectionOff:
		want = false
	}
	if len(endpoints) == 0 && p.loop.Blocked {
		g.open(p, time.Now(), "nothing is attached any more") // whoever comes next has done nothing
	}
	if want {
		p.loop.urgent = true // there may be another endpoint
	}
	if want != p.loop.Probed {
		p.loop.Probed = want
		if i, _ := slices.BinarySearchFunc(g.probed, p, func(a, b *port) int { return a.num - b.num }); want {
			g.probed = slices.Insert(g.probed, i, p)
		} else {
			g.probed = slices.Delete(g.probed, i, i+1)
		}
	}
	if want && !g.active.Load() && !g.sw.closed {
		g.active.Store(true)
		g.sw.running.Go(g.run)
	}
	if want {
		g.wake()
	}
}

func (g *loopGuard) wake() {
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// linkUp has a probe sent at once from p, whose link has come up.
func (g *loopGuard) linkUp(p *port) {
	g.mu.Lock()
	g.up[p] = true
	g.mu.Unlock()
	g.wake()
}

// take reports whether it, which has come from in, is a probe of this switch. It is
// called while forwarding.
func (g *loopGuard) take(in *port, it *item, anyVLAN bool) bool {
	p, ok := g.key.parse(it.data)
	if !ok {
		return false
	}
	if !anyVLAN && p.vlan != it.vlan {
		return true // frames of its VLAN do not come back here
	}
	g.mu.Lock()
	news := g.returned[in] != p
	g.returned[in] = p
	g.mu.Unlock()
	if news {
		g.wake()
	}
	return true
}

// run is the goroutine of g.
func (g *loopGuard) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time // when the last round began
	for {
		select {
		case <-g.stop:
			return
		case <-timer.C:
		case <-g.kick:
			// However many probes are repeated by whomever, rounds have a distance.
			if wait := g.interval/loopSlots/4 - time.Since(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		}
		last = time.Now()
		if next := g.round(last); next > 0 {
			timer.Reset(next)
		} else {
			timer.Stop()
		}
	}
}
