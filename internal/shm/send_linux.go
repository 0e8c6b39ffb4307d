// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
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

// An outgoing is frames to send, whole or in pieces.
type outgoing struct {
	frames [][]byte
	pieces []net.Buffers
	headed bool // they begin with an offload header, and are at least as long
}

func (o *outgoing) len() int { return len(o.frames) + len(o.pieces) }

// size returns the length of frame i, without a header.
func (o *outgoing) size(i int) (n int) {
	if o.pieces == nil {
		n = len(o.frames[i])
	} else {
		for _, b := range o.pieces[i] {
			n += len(b)
		}
	}
	if o.headed {
		n -= frame.OffloadLen
	}
	return n
}

// put puts frame i, of n bytes, into the ring.
func (o *outgoing) put(p *producer, i, n int) {
	var one [1][]byte
	pieces := net.Buffers(one[:])
	if o.pieces == nil {
		one[0] = o.frames[i]
	} else {
		pieces = o.pieces[i]
	}
	var off frame.Offload
	skip := 0
	if o.headed {
		off = headerOf(pieces)
		skip = frame.OffloadLen
	}
	p.begin(n, off)
	at := p.pos + slotHeader
	for _, b := range pieces {
		if skip > 0 {
			k := min(skip, len(b))
			skip -= k
			b = b[k:]
		}
		p.write(at, b)
		at += uint64(len(b))
	}
	p.pos += slotLen(n)
}

// headerOf returns the offload header at the beginning of pieces.
func headerOf(pieces net.Buffers) frame.Offload {
	var b [frame.OffloadLen]byte
	n := 0
	for _, p := range pieces {
		if n += copy(b[n:], p); n == len(b) {
			break
		}
	}
	off, _ := frame.ParseOffload(b[:]) // it is long enough
	return off
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
