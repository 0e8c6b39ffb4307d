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

func (n *network) leaver() *station  { return n.stations[6] }
func (n *network) outcast() *station { return n.stations[7] }

// fault does something to somebody.
func (n *network) fault() {
	r := n.rand
	st := n.stations[r.IntN(len(n.stations)-2)] // one of the well-behaved
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
		n.leaves()
	case 7:
		n.throwOut()
	}
}

// stopReader floods a station that does not read for a while.
func (n *network) stopReader(st *station) {
	n.s.totals.fault("reader stopped and flooded")
	st.hold.Lock()
	defer st.hold.Unlock()
	from := n.stations[n.rand.IntN(6)]
	from.gate.Lock()
	defer from.gate.Unlock()
	for range 10 + n.rand.IntN(30) {
		from.push(from.batch(n.rand, []frame.MAC{st.mac}, 64))
	}
}

// quiet waits until all that st has sent has come to the switch; gate is held.
func (n *network) quiet(st *station) {
	if st.bad != nil {
		until(context.Background(), patience, func() bool {
			out, _ := st.bad.Stats()
			return out.Pending == 0
		})
	}
	if !until(context.Background(), patience, func() bool { return n.ports()[st.num].In.Frames == st.books().tx+st.raw }) {
		n.s.violate("%s: sent %d and %d, %+v came to the switch", st.name, st.books().tx, st.raw, n.ports()[st.num].In)
	}
}

// disconnect hangs up on a station that is not writing.
func (n *network) disconnect(st *station) {
	if st.inProcess {
		return // that is the end of its connection: see reopen
	}
	n.s.totals.fault("disconnect")
	st.gate.Lock()
	defer st.gate.Unlock()
	n.quiet(st)
	n.hangUp(st)
	await(n.s, st, "link down", st.lost)
	await(n.s, st, "link up", st.back)
}

// hangUp lets the switch hang up on st.
func (n *network) hangUp(st *station) {
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

// reopen lets a station leave and come back; what it has sent has come.
func (n *network) reopen(st *station) {
	n.s.totals.fault("close and open")
	st.gate.Lock()
	defer st.gate.Unlock()
	n.quiet(st)
	n.again(st)
}

// again closes a station's connection and opens another; gate is held.
func (n *network) again(st *station) {
	st.leave()
	// That it is refused is wrong, but the others can go on.
	until(context.Background(), patience, func() bool {
		err := st.join()
		if err != nil {
			n.s.violate("%s: %v", st.name, err)
		}
		return err == nil
	})
}

// deadlines wakes everybody who waits.
func (n *network) deadlines(st *station) {
	n.s.totals.fault("deadline")
	st.gate.Lock()
	defer st.gate.Unlock()
	if err := errors.Join(st.conn.SetDeadline(time.Unix(1, 0)), st.conn.SetDeadline(time.Time{})); err != nil {
		n.s.violate("%s: %v", st.name, err)
	}
}

// garbage sends what is no frame, or too long for the switch.
func (n *network) garbage(st *station) {
	st.gate.Lock()
	defer st.gate.Unlock()
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

// leaves closes the leaver's connection while it writes and others write to it.
// When they find its socket gone, the kernel throws away what it had sent and
// the switch not read.
func (n *network) leaves() {
	n.s.totals.fault("rude close")
	st := n.leaver()
	st.gate.Lock()
	defer st.gate.Unlock()
	st.push(st.batch(n.rand, n.targets(), 200))
	n.purged.bound += clientHeld
	n.again(st)
}

// throwOut hangs up on the outcast while it writes. When it finds the switch's
// socket gone, the kernel throws away what it had been sent and not read.
func (n *network) throwOut() {
	n.s.totals.fault("rude disconnect")
	st := n.outcast()
	n.forgotten.bound += switchHeld
	n.hangUp(st)
	await(n.s, st, "link up", st.back)
}

// restart closes the switch while queues are full, and opens another in its
// place. Nobody writes meanwhile: see throwOut for why.
func (n *network) restart() {
	n.s.totals.fault("switch closed and restarted")
	for _, st := range n.stations {
		st.gate.Lock()
		defer st.gate.Unlock()
		st.hold.Lock()
	}
	for _, st := range n.stations[:6] {
		for range 20 {
			st.push(st.batch(n.rand, n.targets(), 64))
		}
	}
	for _, st := range n.stations {
		if st != n.leaver() { // of which some may never come
			n.quiet(st)
		}
		select {
		case <-st.back:
		default:
		}
	}
	n.stop(func() {
		for _, st := range n.stations {
			st.hold.Unlock()
		}
	})
	if err := n.start(); err != nil {
		n.s.violate("restart: %v", err)
	}
	for _, st := range n.stations {
		if st.inProcess || st == n.leaver() {
			n.again(st)
		} else {
			await(n.s, st, "link up", st.back)
		}
	}
}
