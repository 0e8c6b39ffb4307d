// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

// PathMTUs returns how many path MTUs h keeps.
func PathMTUs(h *Host) int {
	p := h.ep.paths
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.m)
}

// StallAfter is how long no frame must be sent for the link to count as stalled.
const StallAfter = stallAfter

// Waiting returns how many packets wait for room in the queue of e.
func Waiting(e *Endpoint) int {
	e.tx.mu.Lock()
	defer e.tx.mu.Unlock()
	return e.tx.waiting.Len()
}
