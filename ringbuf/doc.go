// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package ringbuf provides bounded, non-blocking queues.
//
// [SPSC] is a queue between one producer and one consumer that moves elements
// in batches: [SPSC.Push] takes as many as fit and publishes them together,
// [SPSC.Pop] takes as many as there are. In batches of 32 an element costs a
// fraction of what a channel takes; one at a time a ring barely beats a
// channel, if it does. Use a channel then.
//
// The queue does not wait, does not wake anybody and cannot be closed. Waiting
// is a policy, to spin, to park or to give up with a context, and belongs to
// the user; a channel of capacity one makes a wake-up:
//
//	wake := make(chan struct{}, 1)
//
//	// producer, after Push
//	select {
//	case wake <- struct{}{}:
//	default: // the consumer has one coming
//	}
//
//	// consumer
//	for range wake {
//		for n := q.Pop(dst); n > 0; n = q.Pop(dst) {
//			…
//		}
//	}
//
// # Concurrency
//
// At any moment at most one goroutine may be in Push, and at most one in Pop;
// the two may overlap. The roles need not stay with one goroutine as long as
// successive holders of a role are ordered by synchronization: a mutex around
// Push is fine, and makes a queue for several producers, one at a time. So is
// one around Pop. The lock covers its own side only; the opposite side needs
// none. Breaking the rule loses and duplicates elements; the race detector
// usually sees it.
//
// [SPSC.Len] and [SPSC.Cap] may be called from anywhere.
//
// Push and Pop are wait-free: each finishes in a number of steps bounded by
// the number of elements it moves, whatever the other side does.
//
// # Algorithm
//
// This is Lamport's ring of one writer and one reader ("Specifying Concurrent
// Program Modules", 1983). Each side keeps a copy of the other's index as it
// last saw it, and reads the other's cache line only when the ring looks full,
// or empty, by that copy, as in MCRingBuffer (Lee, Bu and Chandranmenon,
// 2009).
//
// Two 64-bit indices count elements since the beginning. The producer alone
// stores tail, the number pushed; the consumer alone stores head, the number
// popped. Element i lives in slot i modulo the capacity, a power of two, which
// also makes the arithmetic survive an index that wraps around.
//
//	        head                    tail               head + capacity
//	          |   the consumer's      |    the producer's    |
//	----------+-----------------------+----------------------+----------
//
// Slots from head up to tail hold elements and belong to the consumer: only it
// reads and clears them. Slots from tail up to head + capacity are empty, hold
// zero values, and belong to the producer: only it writes them. Ownership
// passes by two stores and nothing else. The producer's store of tail, after
// it has filled the slots, gives them to the consumer, who loads tail before
// reading them. The consumer's store of head, after it has copied and cleared
// the slots, gives them back to the producer, who loads head before filling
// them. Go's atomics are sequentially consistent, so each load that sees a
// store also sees everything before it (https://go.dev/ref/mem); release and
// acquire would do.
//
// As slots are cleared, the queue keeps nothing alive that has left it. What
// is still in it when it becomes garbage is garbage as well: reference-counted
// elements must be popped and released first.
package ringbuf
