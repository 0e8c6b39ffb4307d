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
