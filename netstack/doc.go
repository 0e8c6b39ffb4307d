// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package netstack puts a TCP/IP stack on a VDE network, inside the program:
// no privileges, no kernel interface, no cgo. The stack is gVisor's.
//
// Most programs want [NewHost]: a host with an address, whose DialContext,
// Listen and ListenPacket are those of package net.
//
//	conn, err := vde.Open(ctx, "vde:///run/vde.ctl")
//	...
//	host, err := netstack.NewHost(conn, netstack.HostConfig{
//		Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")},
//	})
//	...
//	defer host.Close()
//	client := http.Client{Transport: &http.Transport{DialContext: host.DialContext}}
//
// Programs that configure a stack of their own (a router, a gateway, a
// sandbox) want [NewEndpoint], gVisor's stack.LinkEndpoint on a [vde.Conn].
//
// # Waiting instead of dropping
//
// A frame that finds the peer's queue full waits, and so does, once the
// endpoint's own queue is full too, the goroutine that sends: that is TCP's
// backpressure, and it is why one stream runs without retransmissions here.
// Two kinds of packets never wait, because a receiver that waits to send could
// stop two hosts for good: answers made while receiving (ARP, neighbour
// discovery, ICMP, resets) and packets forwarded from elsewhere. They have a
// reserve of the queue to themselves, and what exceeds it is dropped and
// counted. A link on which nothing at all has moved for a while counts as
// stalled and drops, counted, until it moves again, so that deadlines and Close
// keep working when the other side stands still. See [EndpointStats].
//
// # What it is not
//
// There is no routing between Hosts, no firewall and no DHCP server. Receive
// checksums are verified and transmit checksums computed unless both ends are
// told not to ([EndpointConfig.NoChecksums]).
package netstack
