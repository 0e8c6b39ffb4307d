// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package shm moves frames between two processes through memory that both have
// mapped: a region with a ring for each direction, and a bell for each thing
// that one may sleep for. docs/shared-memory.md says it byte for byte; this
// package is one side of it, an [End], for the client and for the switch.
//
// # Trust
//
// The other side is taken to be hostile. It can write anything anywhere in the
// region at any time. So
//
//   - positions and lengths are loaded once, atomically, and bounded before they
//     are used; what is ours to write is kept outside the region and never read
//     back from it;
//   - a frame is copied out before anything looks at it, so that it cannot change
//     under a reader;
//   - the region cannot shrink under us: its seals are checked before it is
//     mapped;
//   - what is found broken ends this End, with [ErrBroken], and nothing else.
//
// # Memory ordering
//
// A producer writes frames and then publishes them by one store to the ring's
// tail; a consumer copies frames out and then gives their room back by one store
// to its head. Package sync/atomic makes both sequentially consistent: on amd64
// the stores are locked instructions, on arm64 they are store-release and the
// loads load-acquire, which among themselves keep program order. A frame's bytes
// can therefore be neither seen before the tail that covers them nor overwritten
// before the head that frees them.
//
// Going to sleep needs more than acquire and release: the sleeper stores its flag
// and then loads the position, the other side stores the position and then loads
// the flag, and one of the two must see the other's store (Dekker). Sequential
// consistency is what guarantees that; in C it takes memory_order_seq_cst on all
// four.
package shm
