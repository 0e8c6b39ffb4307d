// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

// For tests outside the package, which may import what imports it.
var (
	NewBridge = newBridge
	Numbered  = testFrame
	RecvAll   = recvAll

	Removes         = removes
	OutputInterface = outputInterface
)

// Connected makes the first destination that of the socket.
func (b *bridge) Connected() { b.peers[0] = nil }
