// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package pool provides fixed-size, reference-counted packet buffers. Use it where
// frames pass from one goroutine to others and nothing may be allocated for each.
//
//	p := pool.New(1518, 0) // bytes in a buffer, and of headroom in front of them
//	b := p.Get()           // one reference to a buffer, which may hold anything
//	n, err := conn.Read(b.Bytes())
//	...
//	b.SetLen(n)
//	...
//	b.Release()
//
// A [Pool] hands out [Buffer] values of one size. A buffer carries its own
// count of references and a window onto its memory, with headroom in front so
// that headers can be prepended without moving the payload:
//
//	         headroom            window               tailroom
//	+----------------------+----------------+---------------------------+
//	|                      |  Bytes()       |                           |
//	+----------------------+----------------+---------------------------+
//	          <-- Prepend(n)                 SetLen(n) -->
//	              TrimFront(n) -->
//
// It is made for frames that are received in one goroutine and released in
// another, many at a time: [Pool.GetBatch] and [Windows] prepare a batch for
// reading, [ReleaseBatch] returns one. It is not a general allocator: sizes do
// not vary, buffers do not grow, Get never waits and sets no limit. Nor is a
// Buffer a stream; there is no reader or writer on it.
//
// # Ownership
//
// [Pool.Get] and GetBatch transfer one reference to the caller. Every
// reference must be given up exactly once, by [Buffer.Release],
// [ReleaseBatch], or by passing it to a function that is documented to take it.
// [Buffer.Retain] makes one more, and only a holder of a reference may call
// it. The slices from [Buffer.Bytes], [Buffer.Prepend] and [Windows] are lent:
// they are valid until the reference they were obtained under is released.
//
// A holder of the only reference may do anything with the buffer. While there
// are several, the buffer is read-only for all of them, its window included,
// because there is one window and not one per reference.
//
// # Sharp edges
//
//   - Contents after Get are undefined. Memory is not cleared, and bytes of
//     earlier frames lie around the window and inside it.
//   - A slice kept past the last Release points into a buffer that somebody
//     else owns by then. So does a *Buffer. A second Release of a buffer still
//     in the pool panics; once it was handed out again the mistake can no
//     longer be told from a legitimate Release. See leak mode below.
//   - A Buffer that is dropped without Release is collected as garbage, but
//     counts as live forever.
//   - GetBatch keeps the elements that are already there. Set to nil the
//     elements whose reference was given away, or the next batch writes into a
//     frame that somebody is reading; it panics where it can tell.
//     ReleaseBatch sets them to nil itself.
//   - A buffer larger than the frames it holds costs memory, not time.
//
// # Concurrency and memory
//
// A Pool is safe for concurrent use. Counting references is atomic, and what a
// goroutine did to a buffer before its Release happens before the return of
// the Get that hands the buffer out again. The window methods of one Buffer
// are not synchronized among themselves.
//
// Free buffers are kept in a list of at most 4 MiB, or 64 buffers if that is
// more, for as long as the Pool is reachable; what exceeds it is left to the
// garbage collector's discretion in a [sync.Pool]. The list has one lock, held
// for a few nanoseconds, which measured faster than a sync.Pool alone both on
// one processor and between two (see the benchmarks). The batch calls take it
// once per batch.
//
// # Leak mode
//
// Building with the tag poolleak makes every pool remember who took each
// buffer, for [Pool.Leaks], and look for use after release: memory is
// overwritten with a pattern on the last Release, Get panics if the pattern
// was disturbed, and the methods of a released Buffer panic. It is slow and
// meant for tests:
//
//	go test -tags poolleak ./...
//
// A buffer that was handed on is often taken by a goroutine that knows nothing of
// whoever has to release it. [AddOwner] tells leak mode who that is. A Frame that
// was received from a vde.Conn has an owner with the name of the connection and
// the place that called Frames.
//
// Without the tag all of this compiles to nothing. In either mode a test can
// end with
//
//	if n := p.Stats().Live; n != 0 {
//		t.Errorf("%d buffers not released: %v", n, p.Leaks())
//	}
package pool
