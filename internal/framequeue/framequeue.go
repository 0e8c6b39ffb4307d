// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package framequeue implements a bounded queue of frames, for links whose frames
// wait in the memory of this process. Its two sides have the deadlines and the
// ends of a link each:
//
//	q := framequeue.New(64)
//	n, err := q.Put(frames, headers, true) // copies the frames
//	n, err = q.Get(bufs, sizes, headers, true)
package framequeue

import (
	"errors"
	"net"
	"os"
	"sync"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/deadline"
)

var (
	// ErrFull is returned by Put without wait when the queue is full.
	ErrFull = errors.New("send queue is full")

	// ErrEmpty is returned by Get without wait when the queue is empty.
	ErrEmpty = errors.New("no frame to receive")
)

// A Slot is a frame in a queue.
type Slot struct {
	Frame  []byte
	Size   int // of the frame; more than len(Frame) if its end was cut off
	Header frame.VNetHeader
}

// set copies a frame to s, whose memory it uses again.
func (s *Slot) set(pieces [][]byte, h frame.VNetHeader) {
	s.Frame = s.Frame[:0]
	for _, p := range pieces {
		s.Frame = append(s.Frame, p...)
	}
	s.Size, s.Header = len(s.Frame), h
}

// A Queue holds frames between a putting and a getting side. Its methods may be
// called from any goroutine. Frames that are put while another Put waits may come
// between those of the latter.
type Queue struct {
	// GetDeadline and PutDeadline bound the calls that wait.
	GetDeadline, PutDeadline deadline.Timer

	mu     sync.Mutex
	frames sync.Cond // there is a frame, or a reason not to wait for one
	room   sync.Cond // there is room, or a reason not to wait for it
	slots  []Slot    // guarded by mu; a ring
	head   int       // guarded by mu; the oldest frame
	n      int       // guarded by mu; how many
	getErr error     // guarded by mu; of Get, once nothing is left, if not nil
	putErr error     // guarded by mu; of Put, if not nil
	closed bool      // guarded by mu; by the getting side
}

// New returns a queue with room for depth frames, at least 1.
func New(depth int) *Queue {
	q := &Queue{slots: make([]Slot, depth)}
	q.frames.L, q.room.L = &q.mu, &q.mu
	q.GetDeadline.OnExpire = func() { q.wake(&q.frames) }
	q.PutDeadline.OnExpire = func() { q.wake(&q.room) }
	return q
}

func (q *Queue) wake(c *sync.Cond) {
	q.mu.Lock() // whoever has seen the deadline not passed waits now
	defer q.mu.Unlock()
	c.Broadcast()
}

// A Batch is frames to put: whole, or in pieces.
type Batch struct {
	Frames  [][]byte
	Pieces  []net.Buffers
	Headers []frame.VNetHeader // nil, or one for each frame
}

// Len returns the number of frames.
func (b *Batch) Len() int { return len(b.Frames) + len(b.Pieces) }

// Put copies frames to the queue, in order, and waits while it is full. If n is
// less than the number of frames, err says why.
func (q *Queue) Put(b Batch, wait bool) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.frames.Broadcast()
	for n < b.Len() {
		if err := q.awaitRoom(wait); err != nil {
			return n, err
		}
		var one [1][]byte
		pieces := one[:]
		if b.Pieces != nil {
			pieces = b.Pieces[n]
		} else {
			one[0] = b.Frames[n]
		}
		var h frame.VNetHeader
		if b.Headers != nil {
			h = b.Headers[n]
		}
		q.add().set(pieces, h)
		n++
	}
	return n, nil
}

// PutCut puts a frame of size bytes of which only the beginning is left.
func (q *Queue) PutCut(beginning []byte, size int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.awaitRoom(true); err != nil {
		return err
	}
	s := q.add()
	s.set([][]byte{beginning}, frame.VNetHeader{})
	s.Size = size
	q.frames.Signal()
	return nil
}

// AwaitRoom waits while the queue is full.
func (q *Queue) AwaitRoom() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.awaitRoom(true)
}

// awaitRoom waits, if wait is set, while the queue is full; mu is held. A deadline
// in the past forbids to put anything, except for calls that do not wait.
func (q *Queue) awaitRoom(wait bool) error {
	for {
		switch {
		case q.putErr != nil:
			return q.putErr
		case wait && q.PutDeadline.Passed():
			return os.ErrDeadlineExceeded
		case q.n < len(q.slots):
			return nil
		case !wait:
			return ErrFull
		}
		q.frames.Broadcast() // what this call has put
		q.room.Wait()
	}
}

// add returns the slot of one more frame; mu is held.
func (q *Queue) add() *Slot {
	s := &q.slots[(q.head+q.n)%len(q.slots)]
	q.n++
	return s
}

// Get waits for a frame and takes as many as there are room and frames for: frame
// i is copied to bufs[i], sizes[i] is set to its length and headers[i], if headers
// is not nil, to its metadata.
func (q *Queue) Get(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.awaitFrame(wait); err != nil {
		return 0, err
	}
	for n < min(len(bufs), len(sizes)) && q.n > 0 {
		s := q.take()
		copy(bufs[n], s.Frame)
		sizes[n] = s.Size
		if headers != nil {
			headers[n] = s.Header
		}
		n++
	}
	q.room.Broadcast()
	return n, nil
}

// GetSlots is Get that exchanges the memory in slots for the frames.
func (q *Queue) GetSlots(slots []Slot) (n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.awaitFrame(true); err != nil {
		return 0, err
	}
	for ; n < len(slots) && q.n > 0; n++ {
		s := q.take()
		*s, slots[n] = slots[n], *s
	}
	q.room.Broadcast()
	return n, nil
}

// awaitFrame waits, if wait is set, for a frame; mu is held.
func (q *Queue) awaitFrame(wait bool) error {
	for {
		switch {
		case q.closed, q.n == 0 && q.getErr != nil:
			return q.getErr
		case wait && q.getErr == nil && q.GetDeadline.Passed():
			return os.ErrDeadlineExceeded // after the end a deadline has no effect
		case q.n > 0:
			return nil
		case !wait:
			return ErrEmpty
		}
		q.frames.Wait()
	}
}

// take returns the slot of the oldest frame, which is not in the queue any more;
// mu is held.
func (q *Queue) take() *Slot {
	s := &q.slots[q.head]
	q.head = (q.head + 1) % len(q.slots)
	q.n--
	return s
}

// EndPut ends putting: Put fails with putErr from now on, which replaces every
// error but [net.ErrClosed], and Get with getErr when it has taken what is left.
func (q *Queue) EndPut(putErr, getErr error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.putErr != net.ErrClosed {
		q.putErr = putErr
	}
	if q.getErr == nil {
		q.getErr = getErr
	}
	q.PutDeadline.Stop()
	q.room.Broadcast()
	q.frames.Broadcast()
}

// EndGet ends getting: Get fails with getErr from now on, and Put with putErr
// unless putting has ended before. unread is the number of frames thrown away.
func (q *Queue) EndGet(getErr, putErr error) (unread int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.getErr = true, getErr
	if q.putErr == nil {
		q.putErr = putErr
	}
	unread, q.n = q.n, 0
	q.GetDeadline.Stop()
	q.room.Broadcast()
	q.frames.Broadcast()
	return unread
}
