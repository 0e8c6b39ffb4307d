// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

// ForgetCPeer makes the next C peer look for its program again.
func ForgetCPeer() {
	cpeerCompiled.Lock()
	defer cpeerCompiled.Unlock()
	cpeerCompiled.path = ""
}
