// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync/atomic"

	"github.com/go-vde/sdk/vde"
)

// EndpointStats counts frames since NewEndpoint.
//
// Each frame in Conn.RxFrames is in RxDelivered or RxFiltered. Each packet that the
// stack sent is in Conn.TxFrames, in one of the TxDropped counters, or still in the
// queue. It counts as the number of frames of the MTU that it becomes, but in
// Conn.TxFrames as one frame if the other side takes GSO frames, and as several if a
// [Host] fragments it for an IPv6 path of a lesser MTU.
type EndpointStats struct {
	Conn vde.Stats // the connection's own; TxFrames divided by TxCalls is the mean batch

	RxDelivered uint64 // delivered to the stack

	// RxFiltered counts frames for other addresses, received while being detached, with
	// an ICMPv6 Packet Too Big message of less than 1280 bytes, or with a router
	// advertisement that a host must ignore.
	RxFiltered uint64

	TxDroppedFull    uint64 // the queue was full: with TailDrop, or for a packet that must not wait
	TxDroppedStalled uint64 // the queue was full and no frame had been sent for a second in which this process ran
	TxDroppedError   uint64 // the connection returned an error, for example because of the length
	TxDroppedClosed  uint64 // in the queue when the endpoint was detached or the connection ended

	TxTailProbes uint64 // sent again when the link was up again; each is in Conn.TxFrames each time

	TxWaits uint64 // times a packet had to wait for room in the queue
}

// TxDropped returns the sum of the TxDropped counters.
func (s EndpointStats) TxDropped() uint64 {
	return s.TxDroppedFull + s.TxDroppedStalled + s.TxDroppedError + s.TxDroppedClosed
}

type endpointCounters struct {
	rxDelivered, rxFiltered                                                                 atomic.Uint64
	txDroppedFull, txDroppedStalled, txDroppedError, txDroppedClosed, txWaits, txTailProbes atomic.Uint64
}

// Stats returns the counters. Reading changes nothing.
func (e *Endpoint) Stats() EndpointStats {
	return EndpointStats{
		Conn:             e.conn.Stats(),
		RxDelivered:      e.stats.rxDelivered.Load(),
		RxFiltered:       e.stats.rxFiltered.Load(),
		TxDroppedFull:    e.stats.txDroppedFull.Load(),
		TxDroppedStalled: e.stats.txDroppedStalled.Load(),
		TxDroppedError:   e.stats.txDroppedError.Load(),
		TxDroppedClosed:  e.stats.txDroppedClosed.Load(),
		TxTailProbes:     e.stats.txTailProbes.Load(),
		TxWaits:          e.stats.txWaits.Load(),
	}
}
