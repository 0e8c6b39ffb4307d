// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"sync/atomic"

	"github.com/go-vde/sdk/link"
)

// Stats counts whole frames, and bytes with their Ethernet headers, since Open.
// Frames divided by Calls is the mean batch. Offload metadata is not counted, and
// a GSO frame counts as one, into however many it is segmented on its way.
//
// Every frame that reached this end of the connection is in exactly one of
// RxFrames, RxRunts, RxTruncated, RxEmpty, RxForeign and RxDiscarded, or still
// waits to be read. Every frame given to a write method is in TxFrames, in one
// of TxFull, TxRefused, TxNoBuffer and TxInvalid, or reported as not sent by the
// method's count. Of TxFrames, TxUnsent were lost in this program.
type Stats struct {
	RxFrames uint64 // delivered to a caller or to the Frames channel
	RxBytes  uint64 // the sum of their lengths
	RxCalls  uint64 // system calls (in-process: transfers) that brought at least one datagram

	RxRunts     uint64 // received and discarded: no whole header, a VLAN tag cut off, or not what the metadata beside it says
	RxTruncated uint64 // received and discarded: longer than the space given or than the maximum frame size
	RxEmpty     uint64 // datagrams of length zero: how old clients say goodbye, never a frame
	RxForeign   uint64 // from others than the switch or peer, and discarded
	RxDiscarded uint64 // still unread when the link went down or the connection was closed

	RxMissed uint64 // not received: dropped at the other end because this one did not read; only known of monitor sessions of a switch

	TxFrames uint64 // accepted by the kernel, by the in-process peer, or by the link's own queue
	TxBytes  uint64 // the sum of their lengths
	TxCalls  uint64 // system calls (in-process: transfers) that took at least one frame

	TxUnsent uint64 // of TxFrames: still in the link's own queue when the link ended or was closed, or refused by the network

	TxFull     uint64 // not sent by TryWriteBatch: the queue was full
	TxRefused  uint64 // not sent: nobody at the other end (ECONNREFUSED and its like)
	TxNoBuffer uint64 // not sent: the kernel had no memory (ENOBUFS, ENOMEM)
	TxInvalid  uint64 // not sent: shorter than a header, longer than allowed, or not what the metadata beside it says
}

// counters are the live form of Stats.
type counters struct {
	rxFrames, rxBytes, rxCalls                 atomic.Uint64
	rxRunts, rxTruncated, rxEmpty, rxDiscarded atomic.Uint64
	txFrames, txBytes, txCalls                 atomic.Uint64
	txFull, txRefused, txNoBuffer, txInvalid   atomic.Uint64
}

// Stats returns the counters accumulated since Open. Reading changes nothing;
// each counter is exact, and a batch in flight on another goroutine may be in
// some of them already.
func (c *Conn) Stats() Stats {
	s := &c.stats
	var l link.Counters
	if f := c.caps.Counters; f != nil {
		l = f()
	}
	return Stats{
		RxFrames: s.rxFrames.Load(), RxBytes: s.rxBytes.Load(), RxCalls: s.rxCalls.Load(),
		RxRunts: s.rxRunts.Load(), RxTruncated: s.rxTruncated.Load(), RxEmpty: s.rxEmpty.Load(),
		RxForeign: l.Foreign, RxDiscarded: s.rxDiscarded.Load() + l.Discarded,
		RxMissed: l.Missed,
		TxFrames: s.txFrames.Load(), TxBytes: s.txBytes.Load(), TxCalls: s.txCalls.Load(),
		TxUnsent: l.Unsent,
		TxFull:   s.txFull.Load(), TxRefused: s.txRefused.Load(),
		TxNoBuffer: s.txNoBuffer.Load(), TxInvalid: s.txInvalid.Load(),
	}
}
