// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"
	"os"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
)

// A Placer says where a frame of size bytes, the i-th of a receive, is to be
// copied to, and is told what is left to do about it. What does not fit there is
// lost.
type Placer interface {
	Place(i, size int, o frame.Offload) []byte
}

// Recv takes as many frames as there are, at most limit and 64, and copies each
// to where p says. With wait it waits for the first; without, it returns
// [link.ErrEmpty] if nothing is there, and ignores the deadline. err is non-nil
// only if n is 0.
func (e *End) Recv(p Placer, limit int, wait bool) (n int, err error) {
	e.reading.Lock()
	defer e.reading.Unlock()
	if err := e.awaitFrame(wait); err != nil {
		return 0, err
	}
	limit = min(limit, maxBatch)
	for n < limit {
		size, o, err := e.rx.next()
		if err != nil {
			if err = e.fail(err); n == 0 {
				return 0, err
			}
			break // what came before is in order
		}
		e.rx.take(p.Place(n, size, o), size)
		n++
		if ok, err := e.rx.ready(); !ok {
			if err != nil {
				_ = e.fail(err) // the next receive returns it
			}
			break
		}
	}
	if e.rx.release() {
		ringBell(e.roomBell)
	}
	return n, nil
}

// AwaitFrame waits until Recv without wait finds a frame. Its errors are those of
// a Recv that waits.
func (e *End) AwaitFrame() error {
	e.reading.Lock()
	defer e.reading.Unlock()
	return e.awaitFrame(true)
}

// awaitFrame returns nil when there is a frame, or why there is none; reading is
// held.
func (e *End) awaitFrame(wait bool) error {
	for {
		hungUp := e.hungUp.Load() // before looking
		if err := e.state(); err != nil {
			if hungUp && err != net.ErrClosed {
				return link.ErrDrained
			}
			return err
		}
		if wait && !hungUp && e.rxDeadline.past() {
			return os.ErrDeadlineExceeded // even if there is a frame
		}
		switch ok, err := e.rx.ready(); {
		case err != nil:
			return e.fail(err)
		case ok:
			return nil
		case hungUp:
			return link.ErrDrained
		case !wait:
			return link.ErrEmpty
		}
		e.rxErr = nil
		err := e.rxBell.wait(e.rxStep)
		switch {
		case e.rxErr != nil:
			return e.fail(e.rxErr)
		case err == nil:
			return nil
		case !e.hungUp.Load() && !e.closed.Load():
			return err
		}
	}
}

// frameCame reports whether the wait for a frame is over; reading is held.
func (e *End) frameCame() bool {
	ok, err := e.rx.ready()
	if !ok && err == nil {
		ok, err = e.spin()
	}
	if !ok && err == nil {
		e.rx.sleeps.Store(1)
		if ok, err = e.rx.ready(); ok || err != nil {
			e.rx.sleeps.Store(0)
		}
	}
	e.rxErr = err
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

// spin looks for a frame a few times more.
func (e *End) spin() (ok bool, err error) {
	e.rxRounds = max(e.rxRounds, minRounds)
	for range e.rxRounds {
		for range roundPause {
		}
		if ok, err = e.rx.ready(); ok || err != nil {
			e.rxRounds = min(2*e.rxRounds, maxRounds)
			return ok, err
		}
	}
	e.rxRounds /= 2
	return false, nil
}
