// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package shm carries frames between two processes through memory that both have
// mapped: a region with a ring for each direction, and a doorbell for each thing
// that a side can sleep for. docs/shared-memory.md specifies the region to the byte.
// The package implements one side, an [End], for the client and for the switch.
//
// A client makes an [Offer] and attaches its descriptors to its request; the switch
// calls [Accept] with them and attaches those that it gets to its reply; the client
// passes these to [Offer.Taken]. Both then have an End, a [transport.Transport].
// Ends in one process can form a [Group].
//
// # Trust
//
// The other side is taken to be hostile. It can write anything anywhere in the
// region at any time. So
//
//   - positions and lengths are loaded once, atomically, and bounded before they
//     are used; the state of this side is kept outside the region and never read
//     back from it;
//   - a frame is copied out before its bytes are used, so that it cannot change
//     under a reader;
//   - the region cannot shrink while it is mapped: its seals are checked before;
//   - what breaks the rules ends this End, with [link.ErrViolation], and nothing
//     else.
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
// Sleeping needs more than acquire and release: the side that goes to sleep stores
// its need-wakeup flag and then loads the position, the other side stores the
// position and then loads the flag, and at least one of the two must see the other's
// store (as in Dekker's algorithm). Sequential consistency guarantees that; in C it
// takes memory_order_seq_cst on all four.
package shm
