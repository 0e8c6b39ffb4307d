// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ringbuf

import (
	"math/bits"
	"sync/atomic"
)

// cacheLine is the distance in bytes that keeps two fields from sharing a
// line, with room for processors that fetch lines in pairs.
const cacheLine = 128

// An SPSC is a queue for one producer goroutine and one consumer goroutine;
// both sides are wait-free. Several goroutines may take turns at a side if
// they synchronize, for instance with a mutex; see the package documentation.
// An SPSC must not be copied. Use [NewSPSC]: the zero SPSC has no capacity.
type SPSC[T any] struct {
	slots []T // never reassigned; the length is a power of two

	_ [cacheLine]byte

	// The producer's line.
	tail     atomic.Uint64 // elements pushed; stored by the producer
	headSeen uint64        // head when the producer last loaded it; the producer's

	_ [cacheLine]byte

	// The consumer's line.
	head     atomic.Uint64 // elements popped; stored by the consumer
	tailSeen uint64        // tail when the consumer last loaded it; the consumer's

	_ [cacheLine]byte
}

// NewSPSC returns a queue holding at least n elements, rounded up to a power
// of two; it panics if n < 1, or if there is no such power in an int. All
// memory is allocated here; no other operation allocates.
func NewSPSC[T any](n int) *SPSC[T] {
	if n < 1 {
		panic("ringbuf: NewSPSC with a capacity less than 1")
	}
	log := bits.Len(uint(n - 1))
	if log >= bits.UintSize-1 {
		panic("ringbuf: NewSPSC with a capacity that overflows")
	}
	return &SPSC[T]{slots: make([]T, 1<<log)}
}

// Push adds as many of vs as fit, in order, publishing them together, and
// returns how many. Those are vs[:n]; vs[n:] were not pushed.
// Push copies the elements and keeps no reference to vs. Only the producer may
// call it.
func (q *SPSC[T]) Push(vs ...T) int {
	tail := q.tail.Load()
	if room := q.room(tail); room < uint64(len(vs)) {
		q.headSeen = q.head.Load()
		if room = q.room(tail); room < uint64(len(vs)) {
			vs = vs[:room]
		}
	}
	if len(vs) == 0 {
		return 0
	}
	// The producer owns these slots, which may continue at the front.
	n := copy(q.slots[q.slot(tail):], vs)
	copy(q.slots, vs[n:])
	q.tail.Store(tail + uint64(len(vs))) // from here on they are the consumer's
	return len(vs)
}

// room returns how many slots the producer owns, as far as it has seen.
func (q *SPSC[T]) room(tail uint64) uint64 {
	return uint64(len(q.slots)) - (tail - q.headSeen)
}

// Pop moves up to len(dst) elements into dst, clearing their slots, and
// returns how many. It returns 0 if the queue is empty. Only the consumer may
// call it.
func (q *SPSC[T]) Pop(dst []T) int {
	head := q.head.Load()
	if n := q.tailSeen - head; n < uint64(len(dst)) {
		q.tailSeen = q.tail.Load()
		if n = q.tailSeen - head; n < uint64(len(dst)) {
			dst = dst[:n]
		}
	}
	if len(dst) == 0 {
		return 0
	}
	// The consumer owns these slots, which may continue at the front.
	first := q.slots[q.slot(head):]
	n := copy(dst, first)
	clear(first[:n])
	rest := copy(dst[n:], q.slots)
	clear(q.slots[:rest])
	q.head.Store(head + uint64(len(dst))) // from here on they are the producer's
	return len(dst)
}

// slot returns the index in slots of the element with the given number.
func (q *SPSC[T]) slot(index uint64) uint64 { return index & uint64(len(q.slots)-1) }

// Len returns a momentary count of queued elements, between 0 and [SPSC.Cap].
// To the producer it is an upper bound until the next Push, to the consumer a
// lower bound until the next Pop, to others a hint.
func (q *SPSC[T]) Len() int {
	// In this order the difference cannot be negative. It can be too large, by
	// what was popped and pushed between the loads.
	head := q.head.Load()
	return int(min(q.tail.Load()-head, uint64(len(q.slots))))
}

// Cap returns the capacity.
func (q *SPSC[T]) Cap() int { return len(q.slots) }
