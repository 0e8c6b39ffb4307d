// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
)

// fault kills the switch, or stops it for a moment.
// It returns false if the network cannot go on.
func (m *crashingNetwork) fault() bool {
	if m.rand.IntN(3) == 0 {
		m.s.totals.fault("switch stopped")
		m.programs.pause()
		pause(context.Background(), time.Duration(20+m.rand.IntN(400))*time.Millisecond)
		m.programs.resume()
		return true
	}
	if !m.mark(false) { // up to here nothing may be missing
		return false
	}
	m.writing.Unlock()
	for _, st := range m.stations {
		select {
		case <-st.back:
		default:
		}
	}
	// The members write while the switch is killed.
	pause(context.Background(), time.Duration(m.rand.IntN(100))*time.Millisecond)
	m.s.totals.fault("kill")
	m.programs.kill()
	pause(context.Background(), time.Duration(m.rand.IntN(200))*time.Millisecond)
	m.programs.start(m.rand)
	for _, st := range m.stations {
		timer := time.NewTimer(patience)
		select {
		case <-st.back:
		case <-timer.C:
			m.s.violate("%s, %s runs: the link is not up %v after a kill", st.name, m.programs.running(), patience)
			return false
		}
		timer.Stop()
	}
	if !m.mark(true) {
		return false
	}
	m.writing.Unlock()
	return true
}

// mark stops all writers, sends on each flow how much has been sent on it, and
// checks that no flow has lost more than allowed since the last mark: nothing, or a
// window if the switch has been killed, and a window more if vde_switch has run. If
// all marks have arrived it returns true, with writing held.
func (m *crashingNetwork) mark(killed bool) bool {
	m.writing.Lock()
	if !m.greet() {
		m.writing.Unlock()
		return false
	}
	came := m.tell("marks", func(st *member, f *flow) []byte {
		b := frame.AppendHeader(nil, f.to.mac, st.mac, markType)
		return binary.BigEndian.AppendUint64(b, f.sent)
	})
	if !came {
		m.writing.Unlock()
		return false
	}
	if m.confused() {
		m.writing.Unlock()
		return false
	}
	var held, dropped uint64 // bounds: what a killed switch holds, what vde_switch drops
	if killed {
		held = window
	}
	if m.programs.drops {
		dropped = window
	}
	m.programs.drops = m.programs.stock
	m.s.totals.add(func(t *totals) {
		for _, st := range m.stations {
			for _, f := range st.flows {
				// The reader does not change these any more: the mark was the last frame.
				arrived, lost := f.arrived.Swap(0), f.lost.Swap(0)
				t.flowSent += arrived + lost
				t.flowReceived += arrived
				t.killed.add(min(lost, held), held)
				t.uncounted.add(lost-min(lost, held), dropped)
				if lost > held+dropped {
					defer m.s.violate("%s, %s runs: a flow has lost %d frames, at most %d may be", st.name, m.programs.running(), lost, held+dropped)
				}
			}
		}
	})
	return true
}

// greet makes the switch learn every member, and reports whether all members have
// received the greetings of all others.
func (m *crashingNetwork) greet() bool {
	return m.tell("greetings", func(st *member, _ *flow) []byte {
		return frame.AppendHeader(nil, frame.Broadcast(), st.mac, helloType)
	})
}

// tell sends what content returns, with a number, on every flow, until all have
// arrived. It repeats, because a switch that has just been started floods what the
// TCP/IP hosts send to each other until it has learned them, and meanwhile a
// member's queue may be full. writing is held.
func (m *crashingNetwork) tell(what string, content func(st *member, f *flow) []byte) bool {
	m.told++
	there := func() bool {
		for _, st := range m.stations {
			for _, f := range st.flows {
				if f.marked.Load() != m.told {
					return false
				}
			}
		}
		return true
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		for _, st := range m.stations {
			for _, f := range st.flows {
				if f.marked.Load() != m.told {
					b := binary.BigEndian.AppendUint64(content(st, f), m.told)
					st.write([][]byte{append(b, padding[:]...)})
				}
			}
		}
		if until(context.Background(), time.Second, there) {
			return true
		}
		if m.confused() {
			return false
		}
		m.s.totals.fault("marks repeated")
	}
	var missing strings.Builder
	for _, st := range m.stations {
		for _, f := range st.flows {
			if f.marked.Load() != m.told {
				fmt.Fprintf(&missing, "\nfrom %v %+v\nto %v %+v", st.mac, st.conn.Stats(), f.to.mac, f.to.conn.Stats())
			}
		}
	}
	m.s.violate("%s, %s runs: %s did not come:%s", m.programs.name, m.programs.running(), what, missing.String())
	return false
}

// confused reports whether a vde_switch takes frames of one port for another's,
// which happens on a busy machine when several clients join at a time: its FDB names
// another port than the one whose socket the station is connected to. The ledgers of
// such a network do not agree.
func (m *crashingNetwork) confused() bool {
	sw, ok := m.programs.run.(*testpeers.Switch)
	if !ok {
		return false
	}
	table, err := sw.FDB()
	if err != nil {
		m.s.violate("%s: %v", m.programs.name, err)
		return false
	}
	for _, st := range m.stations {
		raw, err := st.conn.SyscallConn()
		if err != nil {
			continue
		}
		var peer string
		_ = raw.Control(func(fd uintptr) { peer = peerName(fd) }) // fails if closed
		var port int
		if _, err := fmt.Sscanf(filepath.Base(peer), "%d.", &port); err != nil {
			continue
		}
		for _, e := range table {
			if frame.MAC(e.MAC) == st.mac && e.Port != port {
				m.mixedUp = true
				m.s.note("%v is connected to %s, which vde_switch takes for port %d", st.mac, peer, e.Port)
				m.s.totals.fault("vde_switch mixed up two ports")
				return true
			}
		}
	}
	return false
}

// padding makes what tell sends as long as a frame has to be.
var padding [46]byte

// count checks at the end that the connections count what was written and read.
func (m *crashingNetwork) count() {
	if !m.mark(false) {
		return
	}
	defer m.writing.Unlock()
	for _, st := range m.stations {
		same := func() bool {
			s := st.conn.Stats()
			return s.TxFrames == st.sent.Load() && s.RxFrames == st.seen.Load() && s.RxRunts+s.RxTruncated+s.RxEmpty == 0
		}
		if !until(context.Background(), patience, same) {
			m.s.violate("%s: written %d, read %d, the connection counts %+v", st.name, st.sent.Load(), st.seen.Load(), st.conn.Stats())
		}
	}
	if text := m.tcp.differences(); text != "" {
		m.s.violate("%s: %s", m.programs.name, text)
	}
}
