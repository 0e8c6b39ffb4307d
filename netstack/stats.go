// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync/atomic"

	"github.com/go-vde/sdk/vde"
)

// EndpointStats counts frames since NewEndpoint.
//
// Every frame in Conn.RxFrames is in RxDelivered or RxFiltered. Every packet the
// stack handed down is in Conn.TxFrames, in one of the TxDropped counters, or
// still in the queue; it counts as the frames of the MTU that it becomes, and in
// Conn.TxFrames as one where the other side takes it whole.
type EndpointStats struct {
	Conn vde.Stats // the connection's own; TxFrames divided by TxCalls is the mean batch

	RxDelivered uint64 // handed to the stack
	RxFiltered  uint64 // for other stations, or received while being detached

	TxDroppedFull    uint64 // the queue was full: under DropWhenFull, or a packet that cannot wait
	TxDroppedStalled uint64 // the queue was full and nothing had moved for a while
	TxDroppedError   uint64 // refused by the connection, for example longer than its maximum
	TxDroppedEnd     uint64 // in the queue when the endpoint was detached or the connection ended

	TxRepeated uint64 // sent once more when the link was up again; they are in Conn.TxFrames each time

	TxWaits uint64 // times a packet had to wait for room in the queue
}

// TxDropped returns the sum of the causes.
func (s EndpointStats) TxDropped() uint64 {
	return s.TxDroppedFull + s.TxDroppedStalled + s.TxDroppedError + s.TxDroppedEnd
}

type endpointCounters struct {
	rxDelivered, rxFiltered                                                            atomic.Uint64
	txDroppedFull, txDroppedStalled, txDroppedError, txDroppedEnd, txWaits, txRepeated atomic.Uint64
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
		TxDroppedEnd:     e.stats.txDroppedEnd.Load(),
		TxRepeated:       e.stats.txRepeated.Load(),
		TxWaits:          e.stats.txWaits.Load(),
	}
}
