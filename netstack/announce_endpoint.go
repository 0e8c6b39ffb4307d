// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import "net/netip"

// Announce tells the hosts of the network that addrs are at the endpoint's MAC, by ARP
// announcements (RFC 5227) and unsolicited neighbour advertisements. A [Host] does so by
// itself. A program with a stack of its own calls it when it has added addresses, and in
// a function given to [vde.Conn.OnLinkChange] when the link is up. It does not wait: a
// frame that the queue of the connection does not take is not sent.
func (e *Endpoint) Announce(addrs ...netip.Addr) {
	var frames [][]byte
	for _, a := range addrs {
		frames = append(frames, announcement(e.MAC(), a))
	}
	// What is not sent is not needed: the switch learns from the next packet too, and
	// neighbours notice after a while that what they have cached is wrong.
	_, _ = e.conn.TryWriteBatch(frames)
}
