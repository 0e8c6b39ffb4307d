// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package udpio moves Ethernet frames in UDP datagrams, in batches, on the runtime
// poller. It is what the drivers udp, vxlan and vxvde have in common: sockets and
// their options, UDP_SEGMENT and UDP_GRO, the link around them, the network interface
// that it uses, the table of learned addresses and the reading of locators.
//
// A batch to send is grouped by destination and size, and each group is one
// message that the kernel cuts into datagrams (UDP_SEGMENT, since Linux 4.18).
// Received datagrams of one flow come joined (UDP_GRO, since Linux 5.0) and are cut
// here. Where a kernel or a path refuses either, datagrams are sent and received one
// by one, many in a system call.
//
// What the network does with a datagram that the kernel has accepted is unknown, so
// an error of a single datagram does not end a link, nor is it returned by Send: its
// frames are counted as Unsent in [link.Counters].
package udpio
