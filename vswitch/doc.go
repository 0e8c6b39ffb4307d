// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vswitch is a Virtual Distributed Ethernet switch.
//
// Goroutines of the same process plug in with [Switch.Attach] and get a
// [vde.Conn] like any other, whose frames move through memory. Other processes
// plug in through control directories that [Switch.Serve] answers in: programs
// on libvdeplug 2 and 4, vde_plug, QEMU, and [vde.Open].
//
//	sw := vswitch.New(vswitch.Config{})
//	defer sw.Close()
//	go sw.Serve(ctx, "/run/lab.ctl")
//	c, err := sw.Attach()
//
// The switch learns where stations are, floods what it does not know, knows
// VLANs as vde_switch does, can be a hub, and can mirror, limit and lock ports;
// see [Config] and [PortConfig]. It has no spanning tree: BPDUs are forwarded
// as any multicast, so loops are for the user to avoid.
//
// # How a frame travels
//
// Forwarding is done by the goroutine that received: of an in-process port the
// one that writes, of a socket client the one that reads its socket. Up to 64
// frames are looked up together and handed on in groups with one destination
// each: one system call, or one push onto a ring. Sending to one station costs
// the same whatever the number of ports; flooding costs for each port. Frames of
// one sender stay in order at each receiver.
//
// # Full queues
//
// What happens to a frame for a port whose queue is full is the port's [Policy].
// By default the sender waits, some milliseconds at most. What is flooded never
// waits. A port that stops reading delays nobody who does not send to it, and
// after a few vain waits nobody at all.
//
// # Offloading
//
// Ports may agree to offloading, in-process ones with [vde.Conn.EnableOffload]:
// each of their frames then begins with an offload header ([frame.VNetHeader]), and
// may lack its TCP or UDP checksum, or be a TCP segment of up to 64 KiB that is
// still to be cut into frames. Where everybody has agreed whom such a frame is
// for, mirrors and taps included, it passes as it is, whatever Config.MaxFrame
// says; only what it would be cut into must obey that. The queue of a socket
// client has to hold it too, see Config.WriteBuffer. Otherwise the switch
// completes or cuts it, once, and everybody gets the same ordinary frames. A frame
// that is not what its header says is dropped.
//
// A frame that was cut has been taken when its first part has. A sender that
// stops there, because the queue is full and it called TryWriteBatch, or for its
// deadline, is told that the frame was sent; the parts that there was no room for
// are dropped and counted at their destination. Storm control counts the parts.
//
// # Accounting
//
// Each frame that comes in is forwarded or dropped, each copy that a forwarded
// frame makes is delivered, queued or dropped, and each cause of dropping has a
// counter. [Switch.Stats] returns the counters of one moment, which add up; see
// [Stats].
//
// One thing cannot be counted. When something is sent to a datagram socket that
// has just been closed, Linux throws away what that socket had sent and the sender
// has not read yet. So frames that a socket client sends last may be missing from
// what came from its port, if others send to it as it leaves; and a client that
// is hung up on and goes on sending may lose what was delivered to it.
//
// Frames through shared memory have no such gap.
//
// # Shared memory
//
// A client made with package vde that runs as the same user offers shared memory
// with its request, and is given a cable of [KindSharedMemory]: its frames move
// through two rings, without a system call as long as both sides are busy.
// Config.SharedMemory extends that to other users, or turns it off. Such a client
// is trusted no more than others: what it writes where it should not ends its own
// cable, and is counted in [ServeStats].Broken.
//
// # Who is who
//
// A socket client is who the kernel says it is. The data socket that it names
// must belong to it (root may name any, abstract names belong to nobody): a
// switch run by root could otherwise be sent to write to other users' sockets.
// A program that changes its user between making its data socket and connecting
// to the switch is therefore refused. Config.Admit decides beyond that.
//
// # Differences from vde_switch
//
// Opening a port flushes nothing, and a station that moves is found at its new
// port at once. Ports are refused by closing the connection, as soon as requests
// that came before have been answered, with the reason in the log. Frames of up
// to 9234 bytes are forwarded whole and longer ones dropped, not cut. There are no
// access lists and no management console.
package vswitch
