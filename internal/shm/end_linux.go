// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// maxBatch is how many frames are published, or given back, together.
const maxBatch = 64

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)

// An End is one side of a region whose rings both sides have agreed on.
//
// Receives are serialized with receives, and sends that wait with sends that
// wait; everything else may overlap. Errors are those of [link.Link], and
// [ErrBroken].
type End struct {
	region  []byte
	ours    *atomic.Uint32 // takesUndone when this side does, for the other to see
	theirs  *atomic.Uint32 // and the reverse
	undone  atomic.Bool    // theirs when it was last looked at
	onBreak func(error)
	broken  atomic.Pointer[error]

	mu     sync.Mutex  // orders deadline changes against Hangup and Close
	closed atomic.Bool // written with mu held
	hungUp atomic.Bool // written with mu held
	nudged bool        // guarded by mu; rxBell's deadline is not that of receives

	group *Group // nil if in none
	owner any

	awaiting sync.Mutex // held by a receive that may wait, also while it waits; guards what follows
	expects  bool       // answered, when the wait began
	poller   poller

	othersFirst bool // see takeTurns

	reading  sync.Mutex // held while frames are looked for and taken, not while waiting; guards what follows
	rx       consumer
	rxStep   func(uintptr) bool
	rxRounds int    // see spin
	answered bool   // the last receive brought a short answer to something short
	streams  bool   // the last receive brought more than is answered one by one
	sentSeen uint64 // sent, at the last receive
	rxBell   *bell  // rung when there is a frame
	roomBell int    // the other side's: it waits for room

	rxDeadline, txDeadline deadline

	waiting sync.Mutex // held by a send that may wait, also while it waits; guards what follows
	txStep  func(uintptr) bool
	txErr   error // why txStep ended a wait without room
	txBell  *bell // rung when there is room

	writing   sync.Mutex // held while frames are put into the ring, not while waiting; guards what follows
	tx        producer
	frameBell int // the other side's: it waits for frames

	sent atomic.Uint64 // published up to here, or about to be; stored with writing held
}

// newEnd takes over the region, ours, the bells this side sleeps on, and theirs,
// those it rings: in this order for frames and for room.
func newEnd(region []byte, ring int, client bool, ours [2]*bell, theirs [2]int) *End {
	up := newRing(region, upAt, controlLen, ring)
	down := newRing(region, downAt, controlLen+ring, ring)
	e := &End{
		region: region,
		ours:   word32(region, acceptsAt), theirs: word32(region, acceptsAt+line),
		rxBell: ours[0], txBell: ours[1], frameBell: theirs[0], roomBell: theirs[1],
	}
	e.tx.ring, e.rx.ring = up, down
	if !client {
		e.tx.ring, e.rx.ring = down, up
		e.ours, e.theirs = e.theirs, e.ours
	}
	e.undone.Store(e.theirs.Load()&takesUndone != 0)
	e.rxStep = func(uintptr) bool { return e.frameCame() }
	e.txStep = func(uintptr) bool { return e.roomCame() }
	return e
}

// OnBreak has f called, by a goroutine of its own, when the other side is found
// to have broken the rings, with the error that the call which found it returns.
// It is to be set before the first call.
func (e *End) OnBreak(f func(error)) { e.onBreak = f }

// fail notes that the rings are broken and returns why they first were.
func (e *End) fail(err error) error {
	if e.broken.CompareAndSwap(nil, &err) && e.onBreak != nil {
		go e.onBreak(err)
	}
	return *e.broken.Load()
}

// state returns why nothing can be done any more, or nil.
func (e *End) state() error {
	switch broken := e.broken.Load(); {
	case e.closed.Load():
		return net.ErrClosed
	case broken != nil:
		return *broken
	}
	return nil
}

// TakeOffload tells the other side that it may hand over frames undone. It
// cannot be taken back.
func (e *End) TakeOffload() {
	e.writing.Lock()
	defer e.writing.Unlock()
	if !e.closed.Load() {
		e.ours.Store(takesUndone)
	}
}

// Undone reports whether the other side took frames undone when it was last sent
// something.
func (e *End) Undone() bool { return e.undone.Load() }

// Hangup ends waiting for good: receives take what was published and then return
// [link.ErrDrained]; sends fail with [os.ErrDeadlineExceeded] instead of waiting.
// It is idempotent.
func (e *End) Hangup() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.hungUp.Store(true)
	e.expire()
}

// expire wakes whoever waits; mu is held.
func (e *End) expire() {
	// These fail only when closed, which wakes everybody too.
	_ = e.rxBell.file.SetReadDeadline(aLongTimeAgo)
	_ = e.txBell.file.SetReadDeadline(aLongTimeAgo)
}

// SetReadDeadline bounds pending and later receives; zero means no bound. After
// Hangup it has no effect, after Close it fails.
func (e *End) SetReadDeadline(t time.Time) error { return e.setDeadline(&e.rxDeadline, e.rxBell, t) }

// SetWriteDeadline is SetReadDeadline for sends that wait.
func (e *End) SetWriteDeadline(t time.Time) error { return e.setDeadline(&e.txDeadline, e.txBell, t) }

func (e *End) setDeadline(d *deadline, b *bell, t time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed.Load():
		return net.ErrClosed
	case e.hungUp.Load():
		return nil
	}
	d.set(t)
	if b == e.rxBell && e.nudged {
		return nil // nudgedAwake is going to
	}
	return b.file.SetReadDeadline(t)
}

// A deadline is when calls that wait are over. It is kept beside the bell's own,
// so that a call which need not wait need not ask the bell.
type deadline struct{ at atomic.Int64 } // nanoseconds since start; 0: none

// start is where deadlines are counted from, on the monotonic clock.
var start = time.Now()

func (d *deadline) set(t time.Time) {
	var at int64
	if !t.IsZero() {
		at = int64(t.Sub(start))
		if at == 0 {
			at = -1
		}
	}
	d.at.Store(at)
}

// time returns the deadline as it was set.
func (d *deadline) time() (t time.Time) {
	if at := d.at.Load(); at != 0 {
		t = start.Add(time.Duration(at))
	}
	return t
}

func (d *deadline) past() bool {
	at := d.at.Load()
	return at != 0 && at <= int64(time.Since(start))
}

// Shut refuses what the other side publishes from here on; what it published
// before can still be received.
func (e *End) Shut() {
	e.writing.Lock() // a receive that waits holds the other one; either keeps the region
	defer e.writing.Unlock()
	if !e.closed.Load() {
		e.rx.tail.Or(closedBit)
	}
}

// Close refuses what the other side publishes, releases the region and wakes
// every call, which returns [net.ErrClosed]. unread is the number of frames that
// had been published and not received. Calls after the first return 0 and nil.
func (e *End) Close() (unread int, err error) {
	e.mu.Lock()
	if e.closed.Swap(true) {
		e.mu.Unlock()
		return 0, nil
	}
	e.expire()
	e.mu.Unlock()
	// To close a bell is to wait for those who sleep on it, who may want a lock
	// before they notice: so none is held yet.
	err = errors.Join(e.rxBell.file.Close(), e.txBell.file.Close())
	// Whoever holds these may be using the region; whoever gets them after this
	// finds closed set.
	e.reading.Lock()
	defer e.reading.Unlock()
	e.writing.Lock()
	defer e.writing.Unlock()
	unread = e.rx.close()
	CloseRights([]int{e.frameBell, e.roomBell})
	err = errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(e.region)))
	return unread, err
}
