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
	Place(i, size int, o frame.VNetHeader) []byte
}

// Recv takes as many frames as there are, at most limit and 64, and copies each
// to where p says. With wait it waits for the first; without, it returns
// [link.ErrEmpty] if nothing is there, and ignores the deadline. err is non-nil
// only if n is 0.
func (e *End) Recv(p Placer, limit int, wait bool) (n int, err error) {
	if !wait {
		return e.recv(p, limit, false)
	}
	e.awaiting.Lock()
	defer e.awaiting.Unlock()
	for {
		n, err := e.recv(p, limit, true)
		if err != link.ErrEmpty {
			return n, err
		}
		if _, err := e.await(); err != nil {
			return 0, err
		}
	}
}

// AwaitFrame waits until Recv without wait finds a frame, and returns whose Recv:
// e's or, if e is in a [Group], that of another End of it which would otherwise have
// to be woken up for it. Its errors are those of a Recv that waits. Who is in a
// group calls it again at once, or else [End.HandBack].
func (e *End) AwaitFrame() (*End, error) {
	e.awaiting.Lock()
	defer e.awaiting.Unlock()
	for {
		e.reading.Lock()
		err, streams := e.look(true), e.streams
		e.reading.Unlock()
		if streams {
			e.HandBack() // others should not wait for each batch
		} else if x := e.takeTurns(); x != nil {
			return x, nil
		}
		if err != link.ErrEmpty {
			return e, err
		}
		if x, err := e.await(); err != nil || x != e {
			return x, err
		}
	}
}

// recv is Recv, but returns [link.ErrEmpty] for want of a frame even if it is for
// a receive that waits.
func (e *End) recv(p Placer, limit int, wait bool) (n int, err error) {
	e.reading.Lock()
	defer e.reading.Unlock()
	if err := e.look(wait); err != nil {
		return 0, err
	}
	limit, before := min(limit, maxBatch), e.rx.pos
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
	sent, got := e.sent.Load(), e.rx.pos-before
	e.answered = sent != e.sentSeen && sent-e.sentSeen+got <= maxExchange
	e.streams = got > maxExchange
	e.sentSeen = sent
	return n, nil
}

// look returns nil if there is a frame, or why there is none: [link.ErrEmpty] if
// one may come. wait says that it is for a receive that waits; reading is held.
func (e *End) look(wait bool) error {
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
	}
	return link.ErrEmpty
}

// await waits until it is time to look again, at e or, if e is in a group, at
// another End, which it returns; awaiting is held, reading is not.
func (e *End) await() (*End, error) {
	if e.spin() {
		return e, nil
	}
	if x := e.poll(); x != nil {
		return x, nil
	}
	e.HandBack()
	e.group.sleep(e)
	err := e.rxBell.wait(e.rxStep)
	e.group.wake(e)
	if e.nudgedAwake() || e.hungUp.Load() || e.closed.Load() {
		err = nil // to find what there is, or that it is closed
	}
	return e, err
}

// frameCame reports whether it is time to look again. If not, it has told the
// other side to ring.
func (e *End) frameCame() bool {
	e.reading.Lock()
	defer e.reading.Unlock()
	ok, err := e.rx.ready()
	if !ok && err == nil {
		e.rx.sleeps.Store(1)
		if ok, err = e.rx.ready(); ok || err != nil {
			e.rx.sleeps.Store(0)
		}
	}
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

// spin looks for a frame a few times more, and reports whether it is time to look
// again.
func (e *End) spin() bool {
	e.reading.Lock()
	defer e.reading.Unlock()
	e.expects = e.answered
	if e.closed.Load() {
		return true
	}
	e.rxRounds = max(e.rxRounds, minRounds)
	for range e.rxRounds {
		for range roundPause {
		}
		if ok, err := e.rx.ready(); ok || err != nil {
			e.rxRounds = min(2*e.rxRounds, maxRounds)
			return true
		}
	}
	e.rxRounds /= 2
	return false
}
