// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package netstack runs a TCP/IP stack on a VDE network inside the program,
// without privileges, a kernel interface or cgo. The stack is gVisor's. Use it
// when a program needs TCP, UDP or ping on a virtual network that the kernel of
// its machine is not part of.
//
// Most programs use [NewHost]. A [Host] has addresses, and its DialContext, Listen
// and ListenPacket are those of package net:
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
// The package's example is a web server and a client in one program.
//
// Programs that configure a gVisor stack themselves (a router, a gateway, a
// sandbox) use [NewEndpoint], a stack.LinkEndpoint on a [vde.Conn].
//
// Both take a configuration struct, whose zero value means the defaults: an
// application stores the configuration of its hosts, which the struct's JSON form
// allows, and a Host passes part of its own on to its Endpoint.
//
// # Backpressure
//
// With [Backpressure], the default, a frame that finds the queue of the peer full
// waits. When the queue of the endpoint is full too, the goroutine that sends
// waits. So TCP sees no loss on an in-process or local network and does not
// retransmit.
//
// Two kinds of packets never wait, because two hosts whose receivers wait to send
// could block each other forever: packets that the stack sends in answer to a
// received packet (ARP, neighbour discovery, ICMP, TCP resets), and forwarded
// packets. Part of the queue is reserved for them. If that is full, they are
// dropped and counted.
//
// If no frame has been sent for a second, the link counts as stalled. Until a
// frame is sent again, packets are dropped and counted, so that deadlines and
// Close work while the peer is stopped. Time in which this process itself was
// stopped or got no processor does not count. [EndpointStats] has a counter for each
// cause.
//
// # Limits
//
// Hosts do not forward packets to each other, and the package has no firewall and
// no DHCP server. The stack verifies and computes all checksums, unless
// [EndpointConfig.NoChecksums] is set.
package netstack
