// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A receiver is the receiving side of an End.
type receiver struct {
	sleeper                     // sleeps while the ring is empty
	peerDoorbell int            // rung when there is room for the other side's frames
	sent         *atomic.Uint64 // see [sender]
	step         func(uintptr) bool

	waitMu sync.Mutex // held by a receive that may wait, also while it waits

	mu         sync.Mutex // held while frames are looked for and taken, not while waiting; guards what follows
	ring       consumer
	into       destination // of the receive under way
	rounds     int         // see spin
	exchange   exchange
	suppressed bool // see [Group]
	seenOnly   bool // the next receive takes what the leader of the group has seen
}

func (r *receiver) init(l *life, d *doorbell, peer int, sent *atomic.Uint64) {
	r.life, r.doorbell, r.peerDoorbell, r.sent = l, d, peer, sent
	r.step = func(fd uintptr) bool {
		if r.hasFrame() {
			return true
		}
		d.drain(fd)
		return r.frameCame()
	}
}

// Recv implements [transport.Transport]. It receives at most 64 frames. The first
// call with Headers tells the other side that this one takes partial checksums
// and GSO frames, like [End.TakeOffload]; without Headers the metadata of a slot
// is ignored. A frame that is not what its metadata says has the length 1.
func (e *End) Recv(r link.Rx) (n int, err error) {
	if r.Headers != nil && !e.offload.announced.Load() {
		e.TakeOffload()
	}
	if r.NoWait {
		return e.rx.recvInto(&r)
	}
	e.rx.waitMu.Lock()
	defer e.rx.waitMu.Unlock()
	for {
		n, err := e.rx.recvInto(&r)
		if err != link.ErrEmpty {
			return n, err
		}
		if _, err := e.await(); err != nil {
			return 0, err
		}
	}
}

// RecvPlaced implements [link.Notifier]. It receives at most 64 frames.
func (e *End) RecvPlaced(p link.Placer, limit int) (n int, err error) {
	e.rx.mu.Lock()
	defer e.rx.mu.Unlock()
	return e.rx.recv(p, limit, false)
}

// A destination is the slices of a [link.Rx].
type destination struct {
	bufs    [][]byte
	sizes   []int
	headers []frame.VNetHeader
}

// Place implements [link.Placer].
func (d *destination) Place(i, size int, h frame.VNetHeader) []byte {
	d.sizes[i] = size
	if d.headers != nil {
		d.headers[i] = h
	}
	return d.bufs[i]
}

// recvInto receives the frames that there are, and checks their metadata.
func (r *receiver) recvInto(rx *link.Rx) (n int, err error) {
	r.mu.Lock()
	r.into = destination{rx.Bufs, rx.Sizes, rx.Headers}
	n, err = r.recv(&r.into, len(rx.Bufs), !rx.NoWait)
	r.into = destination{}
	r.mu.Unlock()
	if rx.Headers != nil {
		for i := range n {
			if h := &rx.Headers[i]; *h != (frame.VNetHeader{}) {
				rx.Sizes[i] = checkHeader(h, rx.Bufs[i], rx.Sizes[i])
			}
		}
	}
	return n, err
}

// recv copies the frames that there are, at most limit and 64, to where p says.
// wait says that the receive may wait; even then recv returns [link.ErrEmpty]. mu
// is held.
func (r *receiver) recv(p link.Placer, limit int, wait bool) (n int, err error) {
	if err := r.look(wait); err != nil {
		return 0, err
	}
	limit, before := min(limit, maxBatch), r.ring.pos
	for n < limit {
		size, h, err := r.ring.next()
		if err != nil {
			if err = r.life.fail(err); n == 0 {
				return 0, err
			}
			break // what came before is in order
		}
		r.ring.take(p.Place(n, size, h), size)
		n++
		if r.seenOnly && r.ring.pos == r.ring.end {
			break
		}
		if ok, err := r.ring.ready(); !ok {
			if err != nil {
				_ = r.life.fail(err) // the next receive returns it
			}
			break
		}
	}
	if r.ring.release() {
		notify(r.ring.roomWakeup, r.peerDoorbell)
	}
	r.seenOnly = false
	r.exchange.received(r.ring.pos-before, r.sent.Load())
	return n, nil
}

// look returns nil if there is a frame, or why there is none: [link.ErrEmpty] if
// one may come. wait says that the receive may wait. mu is held.
func (r *receiver) look(wait bool) error {
	hungUp := r.life.hungUp.Load() // before looking
	if err := r.life.err(); err != nil {
		if hungUp && err != net.ErrClosed {
			return transport.ErrDrained
		}
		return err
	}
	if wait && !hungUp && r.deadline.past() {
		return os.ErrDeadlineExceeded // even if there is a frame
	}
	switch ok, err := r.ring.ready(); {
	case err != nil:
		return r.life.fail(err)
	case ok:
		return nil
	case hungUp:
		return transport.ErrDrained
	}
	return link.ErrEmpty
}

// await waits until it is time to look again, at e or, if e is in a group, at
// another End, which it returns: it spins, then polls, then sleeps. rx.waitMu is
// held, rx.mu is not.
func (e *End) await() (*End, error) {
	if e.spin() {
		return e, nil
	}
	if x := e.poll(); x != nil {
		return x, nil
	}
	e.release()
	e.member.group.enter(e)
	err := e.rx.doorbell.wait(e.rx.step)
	e.member.group.leave(e)
	if e.rx.wasWoken() || e.life.over() {
		err = nil // to find what there is, or that it is closed
	}
	return e, err
}

// frameCame reports whether the sleep is over. If not, the need-wakeup flag is set.
func (r *receiver) frameCame() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	ok, err := r.ring.ready()
	if !ok && err == nil {
		r.suppressed = false
		r.ring.frameWakeup.Swap(1)
		if ok, err = r.ring.ready(); ok || err != nil {
			r.ring.frameWakeup.Store(0)
		}
	}
	return ok || err != nil
}

// ready reports whether there is something to find for a receive: a frame, or that
// the other side broke the rules, or that the End is closed. mu is held.
func (r *receiver) ready() bool {
	if r.life.closed.Load() {
		return true
	}
	ok, err := r.ring.ready()
	return ok || err != nil
}

// A receive that finds nothing looks again for some rounds before it sleeps, each
// after a pause of so many turns of a loop, about 30 nanoseconds. To sleep and be
// woken costs both sides some microseconds, so the longest time is about that;
// it doubles when it paid off and is halved when it did not, down to the
// shortest, which is all that an idle connection ever spends.
const (
	minRounds  = 4
	maxRounds  = 128
	roundPause = 100
)

// spin looks a few times more, and reports whether there is something to find. It
// begins a wait, and so notes what the wait is for. rx.waitMu is held.
func (e *End) spin() bool {
	r := &e.rx
	r.mu.Lock()
	defer r.mu.Unlock()
	e.poller.expects = r.exchange.answered
	if r.life.closed.Load() {
		return true
	}
	r.rounds = max(r.rounds, minRounds)
	for range r.rounds {
		for range roundPause {
		}
		if ok, err := r.ring.ready(); ok || err != nil {
			r.rounds = min(2*r.rounds, maxRounds)
			return true
		}
	}
	r.rounds /= 2
	return false
}
