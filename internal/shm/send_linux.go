// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/link"
)

// Send sends frames in order. With wait it waits for room; without, it stops with
// [link.ErrFull], also when another send is waiting, whatever the deadline.
// n counts frames, calls how often some were published. If n < len(frames), err
// says why frames[n] was not sent: EPIPE if the other side has closed, EMSGSIZE
// if the ring is too small for it.
func (e *End) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	return e.send(outgoing{frames: frames}, wait)
}

// SendBuffers is Send with each frame given in pieces.
func (e *End) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return e.send(outgoing{pieces: frames}, wait)
}

// SendHeaded is Send for frames that begin with an offload header, which goes into
// the slot's. The other side must take what it says; see [End.Undone].
func (e *End) SendHeaded(frames [][]byte, wait bool) (n, calls int, err error) {
	return e.send(outgoing{frames: frames, headed: true}, wait)
}

// SendBuffersHeaded is SendHeaded with each frame given in pieces.
func (e *End) SendBuffersHeaded(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return e.send(outgoing{pieces: frames, headed: true}, wait)
}

func (e *End) send(o outgoing, wait bool) (n, calls int, err error) {
	if wait {
		e.waiting.Lock()
		defer e.waiting.Unlock()
		if e.txDeadline.past() && !e.hungUp.Load() && o.len() > 0 {
			return 0, 0, os.ErrDeadlineExceeded // even if there is room
		}
	}
	for n < o.len() {
		k, err := e.fill(&o, n)
		if k > 0 {
			n += k
			calls++
		}
		switch {
		case err == nil:
		case err != link.ErrFull || !wait:
			return n, calls, err
		default:
			if err := e.awaitRoom(); err != nil {
				return n, calls, err
			}
		}
	}
	return n, calls, nil
}

// fill puts the frames from first on into the ring, as many as go, publishes
// them, and returns how many, and why not all if there are fewer than maxBatch.
func (e *End) fill(o *outgoing, first int) (n int, err error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := e.state(); err != nil {
		return 0, err
	}
	e.undone.Store(e.theirs.Load()&takesUndone != 0)
	for n < maxBatch && first+n < o.len() {
		size := o.size(first + n)
		if size > e.tx.maxLen() {
			err = unix.EMSGSIZE
			break
		}
		ok, e1 := e.tx.room(size)
		if e1 != nil {
			err = e.fail(e1)
			break
		}
		if !ok {
			err = link.ErrFull
			if e.tx.tail.Load()&closedBit != 0 {
				err = unix.EPIPE // there never will be
			}
			break
		}
		o.put(&e.tx, first+n, size)
		n++
	}
	if n == 0 {
		return 0, err
	}
	e.sent.Store(e.tx.pos) // before there can be an answer
	switch ok, e1 := e.tx.publish(); {
	case e1 != nil:
		return 0, e.fail(e1)
	case !ok:
		return 0, unix.EPIPE
	}
	// The flag is taken back by whoever rings, so that there is one ring for each
	// time the other side falls asleep.
	if e.tx.sleeps.Load() != 0 && e.tx.sleeps.Swap(0) != 0 {
		ringBell(e.frameBell)
	}
	return n, err
}

// AwaitRoom waits until about half the ring is free, or the write deadline.
func (e *End) AwaitRoom() error {
	e.waiting.Lock()
	defer e.waiting.Unlock()
	return e.awaitRoom()
}

// awaitRoom is AwaitRoom with waiting held.
func (e *End) awaitRoom() error {
	e.txErr = nil
	err := e.txBell.wait(e.txStep)
	switch {
	case e.closed.Load():
		return net.ErrClosed
	case e.txErr != nil:
		return e.txErr
	}
	return err
}

// roomCame reports whether the wait for room is over; waiting is held.
func (e *End) roomCame() bool {
	e.writing.Lock()
	defer e.writing.Unlock()
	if e.txErr = e.state(); e.txErr != nil {
		return true
	}
	ok, err := e.tx.halfFree()
	if !ok && err == nil {
		e.tx.waits.Store(1)
		// From here on the other side rings when it makes room. It cannot tell us
		// that it has closed; to send again tells.
		ok, err = e.tx.halfFree()
		ok = ok || e.tx.tail.Load()&closedBit != 0
		if ok {
			e.tx.waits.Store(0)
		}
	}
	if err != nil {
		e.txErr = e.fail(err)
	}
	return ok || err != nil
}
