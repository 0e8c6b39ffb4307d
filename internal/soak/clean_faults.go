// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
)

// patience bounds how long a fault may take to be over.
const patience = 20 * time.Second

func (n *cleanNetwork) departing() *station { return n.stations[6] }
func (n *cleanNetwork) evicted() *station   { return n.stations[7] }

// fault injects one fault, chosen at random.
func (n *cleanNetwork) fault() {
	r := n.rand
	st := n.stations[r.IntN(len(n.stations)-2)] // one that never leaves in the middle of writing
	switch r.IntN(8) {
	case 0:
		n.stopReader(st)
	case 1:
		n.disconnect(st)
	case 2:
		n.reopen(st)
	case 3:
		n.deadlines(st)
	case 4:
		n.garbage(st)
	case 5:
		n.pausePeer()
	case 6:
		n.closeAbruptly()
	case 7:
		n.evict()
	}
}

// stopReader floods a station that does not read for a while.
func (n *cleanNetwork) stopReader(st *station) {
	n.s.totals.fault("reader stopped and flooded")
	st.paused.Lock()
	defer st.paused.Unlock()
	from := n.stations[n.rand.IntN(6)]
	from.writing.Lock()
	defer from.writing.Unlock()
	for range 10 + n.rand.IntN(30) {
		from.push(from.batch(n.rand, []frame.MAC{st.mac}, 64))
	}
}

// quiet waits until the switch has received everything that st has sent; st.writing
// is held.
func (n *cleanNetwork) quiet(st *station) {
	if st.bad != nil {
		until(context.Background(), patience, func() bool {
			out, _ := st.bad.Stats()
			return out.Pending == 0
		})
	}
	if !until(context.Background(), patience, func() bool { return n.ports()[st.num].In.Frames == st.ledger().tx+st.raw }) {
		n.s.violate("%s: sent %d and %d, %+v came to the switch", st.name, st.ledger().tx, st.raw, n.ports()[st.num].In)
	}
}

// disconnect disconnects a station that is not writing.
func (n *cleanNetwork) disconnect(st *station) {
	if st.inProcess {
		return // a disconnect would end its connection: see reopen
	}
	n.s.totals.fault("disconnect")
	st.writing.Lock()
	defer st.writing.Unlock()
	n.quiet(st)
	n.hangUp(st)
	await(n.s, st, "link down", st.lost)
	await(n.s, st, "link up", st.back)
}

// hangUp makes the switch disconnect st.
func (n *cleanNetwork) hangUp(st *station) {
	for _, ch := range []chan struct{}{st.lost, st.back} {
		select {
		case <-ch:
		default:
		}
	}
	if err := n.sw.Disconnect(st.num, 0); err != nil {
		n.s.violate("%s: %v", st.name, err)
	}
}

// await waits for an event of a station.
func await(s *soak, st *station, what string, ch <-chan struct{}) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ch:
	case <-timer.C:
		s.violate("%s: no %s within %v", st.name, what, patience)
	}
}

// reopen closes a station and opens it again once the switch has received
// everything that the station has sent.
func (n *cleanNetwork) reopen(st *station) {
	n.s.totals.fault("close and open")
	st.writing.Lock()
	defer st.writing.Unlock()
	n.quiet(st)
	n.rejoin(st)
}

// rejoin closes a station's connection and opens another; st.writing is held.
func (n *cleanNetwork) rejoin(st *station) {
	st.leave()
	// A refusal is a violation, but the other stations can go on.
	until(context.Background(), patience, func() bool {
		err := st.join()
		if err != nil {
			n.s.violate("%s: %v", st.name, err)
		}
		return err == nil
	})
}

// deadlines wakes all waiting calls by a deadline in the past.
func (n *cleanNetwork) deadlines(st *station) {
	n.s.totals.fault("deadline")
	st.writing.Lock()
	defer st.writing.Unlock()
	if err := errors.Join(st.conn.SetDeadline(time.Unix(1, 0)), st.conn.SetDeadline(time.Time{})); err != nil {
		n.s.violate("%s: %v", st.name, err)
	}
}

// garbage sends datagrams that are too short or too long for the switch.
func (n *cleanNetwork) garbage(st *station) {
	st.writing.Lock()
	defer st.writing.Unlock()
	raw, err := st.conn.SyscallConn()
	if err != nil {
		return // it has no socket
	}
	n.s.totals.fault("garbage")
	b := make([]byte, 20000)
	for range n.rand.IntN(50) {
		size := []int{0, 1, 13, 15, 10000, 20000}[n.rand.IntN(6)]
		if size == 15 {
			copy(b[12:], []byte{0x81, 0x00, 0}) // a tag cut off
		}
		var sent bool
		err := raw.Control(func(fd uintptr) {
			e := trySend(fd, b[:size])
			if sent = e == nil; e != nil && e != syscall.EAGAIN {
				n.s.violate("%s: garbage: %v", st.name, e)
			}
		})
		if err != nil {
			n.s.violate("%s: garbage: %v", st.name, err)
		}
		if sent {
			st.raw++
		}
	}
}

// closeAbruptly closes the connection of the departing station while it writes and
// others write to it. When the switch then sends to the closed socket, the kernel
// discards what the station had sent and the switch had not read.
func (n *cleanNetwork) closeAbruptly() {
	n.s.totals.fault("abrupt close")
	st := n.departing()
	st.writing.Lock()
	defer st.writing.Unlock()
	st.push(st.batch(n.rand, n.targets(), 200))
	n.purged.bound += clientHeld
	n.rejoin(st)
}

// evict disconnects the evicted station while it writes. When the station then sends
// to the closed socket, the kernel discards what the switch had sent and the station
// had not read.
func (n *cleanNetwork) evict() {
	n.s.totals.fault("eviction")
	st := n.evicted()
	n.forgotten.bound += switchHeld
	n.hangUp(st)
	await(n.s, st, "link up", st.back)
}

// restart closes the switch while queues are full, and opens another in its place.
// No station writes meanwhile: see evict for why.
func (n *cleanNetwork) restart() {
	n.s.totals.fault("switch closed and restarted")
	for _, st := range n.stations {
		st.writing.Lock()
		defer st.writing.Unlock()
		st.paused.Lock()
	}
	for _, st := range n.stations[:6] {
		for range 20 {
			st.push(st.batch(n.rand, n.targets(), 64))
		}
	}
	for _, st := range n.stations {
		if st != n.departing() { // some of whose frames may be lost
			n.quiet(st)
		}
		select {
		case <-st.back:
		default:
		}
	}
	n.stop(func() {
		for _, st := range n.stations {
			st.paused.Unlock()
		}
	})
	if err := n.start(); err != nil {
		n.s.violate("restart: %v", err)
	}
	for _, st := range n.stations {
		if st.inProcess || st == n.departing() {
			n.rejoin(st)
		} else {
			await(n.s, st, "link up", st.back)
		}
	}
}
