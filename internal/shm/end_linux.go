// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// maxBatch is how many frames are published, or given back, together.
const maxBatch = 64

// An End is one side of a region whose rings both sides have agreed on.
//
// Receives are serialized with receives, and sends that wait with sends that
// wait; everything else may overlap. Errors are those of [link.Link], among them
// [link.ErrViolation].
//
// Locks are taken in the order of member.mu, then receiver.waitMu or
// sender.waitMu, [Group].mu, receiver.mu, sender.mu, life.mu.
type End struct {
	region  []byte // mapped as long as receiver.mu or sender.mu is held and closed is not set
	offload offload
	life    life
	rx      receiver
	tx      sender
	poller  poller // guarded by rx.waitMu
	member  member
}

var (
	_ transport.Transport = (*End)(nil)
	_ link.Notifier       = (*End)(nil)
)

// newEnd takes over the region, ours, the doorbells on which this side sleeps, and
// theirs, those of the other side: in this order for frames and for room.
func newEnd(region []byte, size int, client bool, ours [2]*doorbell, theirs [2]int) *End {
	up := newRing(region, upAt, controlLen, size)
	down := newRing(region, downAt, controlLen+size, size)
	clientTakes, switchTakes := word32(region, offloadAt), word32(region, offloadAt+line)
	e := &End{region: region}
	if client {
		e.tx.ring.ring, e.rx.ring.ring = up, down
		e.offload.ours, e.offload.theirs = clientTakes, switchTakes
	} else {
		e.tx.ring.ring, e.rx.ring.ring = down, up
		e.offload.ours, e.offload.theirs = switchTakes, clientTakes
	}
	e.offload.refresh()
	e.rx.init(&e.life, ours[0], theirs[1], &e.tx.sent)
	e.tx.init(&e.life, ours[1], theirs[0], &e.offload)
	return e
}

// Attached closes what was to be passed on: the other side has it, or nobody.
func (e *End) Attached() {
	e.life.mu.Lock()
	defer e.life.mu.Unlock()
	closeFars(e.rx.doorbell, e.tx.doorbell)
}

// TakeOffload tells the other side that this one takes partial checksums and GSO
// frames. It cannot be undone.
func (e *End) TakeOffload() {
	e.tx.mu.Lock()
	defer e.tx.mu.Unlock()
	if !e.life.closed.Load() {
		e.offload.announce()
	}
}

// Caps implements [transport.Transport]. What the other side takes is as of when it
// was last sent something. An End in a [Group] is a [link.Notifier].
func (e *End) Caps() link.Caps {
	c := link.Caps{SharedMemory: true}
	if e.offload.peerTakes.Load() {
		c.Offload = link.OffloadChecksum | link.OffloadTSO
	}
	if e.member.group != nil {
		c.Notifier = e
	}
	return c
}

// Hangup implements [transport.Transport].
func (e *End) Hangup() {
	e.life.mu.Lock()
	defer e.life.mu.Unlock()
	e.life.hungUp.Store(true)
	e.rx.expire()
	e.tx.expire()
}

// SetReadDeadline implements [transport.Transport].
func (e *End) SetReadDeadline(t time.Time) error { return e.rx.setDeadline(t) }

// SetWriteDeadline implements [transport.Transport].
func (e *End) SetWriteDeadline(t time.Time) error { return e.tx.setDeadline(t) }

// Shut implements [transport.Transport].
func (e *End) Shut() {
	e.tx.mu.Lock()
	defer e.tx.mu.Unlock()
	if !e.life.closed.Load() {
		e.rx.ring.tail.Or(closedBit)
	}
}

// Close refuses what the other side publishes, releases the region and wakes
// every call, which returns [net.ErrClosed]. unread is the number of frames that
// had been published and not received. Calls after the first return 0 and nil.
func (e *End) Close() (unread int, err error) {
	e.life.mu.Lock()
	if e.life.closed.Swap(true) {
		e.life.mu.Unlock()
		return 0, nil
	}
	e.rx.expire()
	e.tx.expire()
	closeFars(e.rx.doorbell, e.tx.doorbell)
	e.life.mu.Unlock()
	// Closing a doorbell waits for the calls that sleep on it, which may take a
	// lock before they notice: so none is held yet.
	err = errors.Join(e.rx.doorbell.file.Close(), e.tx.doorbell.file.Close())
	unread, e1 := e.unmap()
	transport.CloseDescriptors([]int{e.tx.peerDoorbell, e.rx.peerDoorbell}) // nobody rings any more
	return unread, errors.Join(err, e1)
}

// unmap is the part of Close for which nobody may be using the rings.
func (e *End) unmap() (unread int, err error) {
	// A call that holds one of these may be using the region; a call that gets one
	// afterwards finds closed set.
	e.rx.mu.Lock()
	defer e.rx.mu.Unlock()
	e.tx.mu.Lock()
	defer e.tx.mu.Unlock()
	unread = e.rx.ring.close()
	return unread, os.NewSyscallError("munmap", unix.Munmap(e.region))
}
