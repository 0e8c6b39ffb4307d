// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// A sender is the sending side of an End.
type sender struct {
	sleeper          // sleeps while the ring is full
	peerDoorbell int // rung when there are frames for the other side
	offload      *offload
	step         func(uintptr) bool

	waitMu  sync.Mutex // held by a send that may wait, also while it waits; guards what follows
	stepErr error      // why step ended a wait without room

	mu   sync.Mutex // held while frames are put into the ring, not while waiting; guards what follows
	ring producer

	sent atomic.Uint64 // published up to here, or about to be; stored with mu held
}

func (s *sender) init(l *life, d *doorbell, peer int, o *offload) {
	s.life, s.doorbell, s.peerDoorbell, s.offload = l, d, peer, o
	s.step = func(fd uintptr) bool {
		d.drain(fd)
		return s.roomCame()
	}
}

// Send implements [transport.Transport]. A send that does not wait stops with
// [link.ErrFull] at a full queue, also when another send is waiting. calls counts
// how often frames were published. The error is EPIPE if the other side has closed,
// EMSGSIZE if the ring is too small for a frame.
func (e *End) Send(t link.Tx) (n, calls int, err error) {
	s := &e.tx
	if !t.NoWait {
		s.waitMu.Lock()
		defer s.waitMu.Unlock()
		if s.deadline.past() && !s.life.hungUp.Load() && t.Len() > 0 {
			return 0, 0, os.ErrDeadlineExceeded // even if there is room
		}
	}
	for total := t.Len(); n < total; {
		k, err := s.fill(&t, n, total)
		if k > 0 {
			n += k
			calls++
		}
		switch {
		case err == nil:
		case err != link.ErrFull || t.NoWait:
			return n, calls, err
		default:
			if err := s.awaitRoom(); err != nil {
				return n, calls, err
			}
		}
	}
	return n, calls, nil
}

// fill puts the frames of t from first to total into the ring, as many as fit,
// publishes them, and returns how many, and why not all if there are fewer than
// maxBatch.
func (s *sender) fill(t *link.Tx, first, total int) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.life.err(); err != nil {
		return 0, err
	}
	s.offload.refresh()
	for n < maxBatch && first+n < total {
		size := t.Size(first + n)
		if err = s.room(size); err != nil {
			break
		}
		s.ring.put(t, first+n, size)
		n++
	}
	if n == 0 {
		return 0, err
	}
	s.sent.Store(s.ring.pos) // before there can be an answer
	switch ok, e1 := s.ring.publish(); {
	case e1 != nil:
		return 0, s.life.fail(e1)
	case !ok:
		return 0, unix.EPIPE
	}
	notify(s.ring.frameWakeup, s.peerDoorbell)
	return n, err
}

// room returns nil if there is room for a frame of n bytes, or why there is none.
// mu is held.
func (s *sender) room(n int) error {
	if n > s.ring.maxLen() {
		return unix.EMSGSIZE
	}
	switch ok, err := s.ring.room(n); {
	case err != nil:
		return s.life.fail(err)
	case ok:
		return nil
	case s.ring.tail.Load()&closedBit != 0:
		return unix.EPIPE // there never will be
	}
	return link.ErrFull
}

// AwaitRoom implements [transport.Transport]. It waits until about half the ring is
// free.
func (e *End) AwaitRoom() error {
	e.tx.waitMu.Lock()
	defer e.tx.waitMu.Unlock()
	return e.tx.awaitRoom()
}

// awaitRoom is AwaitRoom with waitMu held.
func (s *sender) awaitRoom() error {
	s.stepErr = nil
	err := s.doorbell.wait(s.step)
	switch {
	case s.life.closed.Load():
		return net.ErrClosed
	case s.stepErr != nil:
		return s.stepErr
	}
	return err
}

// roomCame reports whether the wait for room is over. If not, the need-wakeup flag
// is set. waitMu is held.
func (s *sender) roomCame() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stepErr = s.life.err(); s.stepErr != nil {
		return true
	}
	ok, err := s.ring.halfFree()
	if !ok && err == nil {
		s.ring.roomWakeup.Swap(1)
		// From here on the other side rings when it makes room. It does not ring when
		// it closes; the next send finds that.
		ok, err = s.ring.halfFree()
		ok = ok || s.ring.tail.Load()&closedBit != 0
		if ok {
			s.ring.roomWakeup.Store(0)
		}
	}
	if err != nil {
		s.stepErr = s.life.fail(err)
	}
	return ok || err != nil
}
