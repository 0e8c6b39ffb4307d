// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ringbuf

// Start makes an unused q behave as if n elements had gone through it.
func Start[T any](q *SPSC[T], n uint64) {
	q.tail.Store(n)
	q.head.Store(n)
	q.headSeen, q.tailSeen = n, n
}

// Slots returns q's memory.
func Slots[T any](q *SPSC[T]) []T { return q.slots }
