// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vswitch is a Virtual Distributed Ethernet switch as a library.
//
// Use it to connect goroutines, virtual machines, containers and other programs
// by an Ethernet that your program owns: in tests of network code, as the switch
// of a lab, or between the parts of one program.
//
//	sw := vswitch.New(vswitch.Config{})
//	defer sw.Close()
//	go sw.Serve(ctx, "/run/lab.ctl") // for other processes: QEMU, vde_plug, vde.Open
//	c, err := sw.Attach()            // for this one: a *vde.Conn
//
// A port has endpoints: in-process connections made by [Switch.Attach], clients
// of a control directory that [Switch.Serve] answers in, and links of any other
// kind given to [Switch.AttachLink]. The switch learns addresses, floods frames
// for unknown ones, knows VLANs as vde_switch does, can be a hub, and can mirror,
// limit, lock and isolate ports; see [Config] and [PortConfig]. It has no spanning tree,
// and forwards BPDUs as any multicast. It finds loops by probes that it sends from the
// ports of uplinks, and from others if asked to, and blocks a port of the loop; see
// [LoopProtection].
//
// The goroutine that receives frames forwards them, up to 64 together. Frames of
// one sender stay in order at each receiver. What happens at a full queue is the
// port's [Policy]; a port that reads slowly, or not at all, delays no port that does
// not send to it, and keeps one that does from its frames for others for a 20th of
// its time at most; see [Backpressure].
//
// Unfinished frames (GSO frames, and those with partial checksums), which
// [vde.Conn.WritePackets] sends, pass as they are if
// every endpoint that gets them takes them, mirrors included. Otherwise the switch
// finishes them, once, and all get the same ordinary frames.
// [Config].MaxFrameSize bounds the segments of a GSO frame, not the frame.
//
// [Switch.Stats] accounts for every frame: each that comes in is forwarded or
// dropped, each copy is delivered, queued or dropped, and each cause of dropping
// has a counter. One loss cannot be counted: when a datagram socket has just been
// closed, the kernel may throw away what it had sent last. Frames through shared
// memory have no such gap. [Switch.Subscribe] tells what happens meanwhile: endpoints
// that come and go, addresses that are learned and move, loops, frames dropped by cause.
//
// A running switch can be changed: see [Switch.SetPort], [Switch.SetDefaultPort],
// [Switch.SetHub], [Switch.Mirror], [Switch.Disconnect].
//
// A socket client is identified by what the kernel says about it, and its data
// socket must belong to it; see SECURITY.md and docs/shared-memory.md.
//
// # Differences from vde_switch
//
// Opening a port flushes nothing, and an address that moves is found at its new
// port at once. Ports are refused by closing the connection, as soon as earlier
// requests have been answered, with the reason in the log. Frames longer than
// MaxFrameSize are dropped, not cut off. The management console is package
// vswitch/console, and access lists are there.
package vswitch
