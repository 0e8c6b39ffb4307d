// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vde connects Go programs to Virtual Distributed Ethernet networks.
//
// A VDE network is a switch, known by the path of its control directory, and
// the programs plugged into it. [Open] takes a port of the switch; the [Conn]
// it returns sends and receives whole Ethernet frames, header included and
// without frame check sequence:
//
//	c, err := vde.Open(ctx, "/run/vde.ctl")
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	for f := range c.Frames() {
//		fmt.Println(f.View().Src(), "to", f.View().Dst())
//		f.Release()
//	}
//	return c.Err()
//
// The package needs no C library and speaks the protocol of libvdeplug byte for
// byte: stock vde_switch, the nodes of vdeplug4 and package vswitch accept it.
// [Open] works on Linux; elsewhere it returns an error that matches
// [errors.ErrUnsupported].
//
// # Ways to receive and to send
//
// [Conn.Read] and [Conn.Write] move one frame. [Conn.ReadBatch] and
// [Conn.WriteBatch] move many with one system call and are the fast form.
// [Conn.Frames] delivers received frames on a channel, each in a pooled buffer
// that the receiver must release; from its first call on, reading belongs to
// it. [Conn.WriteBuffers] gathers frames from pieces. None of them allocates
// per frame.
//
// # Shared memory
//
// Open offers the switch shared memory, and a switch of this SDK that runs as the
// same user takes it: frames then move through two rings instead of sockets, many
// times faster, and nothing else about the connection changes. Every other switch
// ignores the offer. [WithSharedMemory] turns it off, or extends it to other
// users' switches; [Conn.SharedMemory] tells what came of it.
//
// # Segmentation and checksum offload
//
// Who has TCP segments of 64 KB to send, or no wish to compute checksums, calls
// [Conn.EnableOffload]. Frames then have a header that says what was left
// undone, the one that tap devices and virtual machines use, and the connection
// does it where the switch has not agreed to take them so.
//
// # Full queues and accounting
//
// A full queue at the peer makes the writer wait, bounded by the write deadline
// or Close; nothing is dropped in silence. Who prefers dropping uses
// [Conn.TryWriteBatch]. Every frame that is received and not delivered, and
// every frame that is refused, has a counter by cause in [Stats].
//
// # The end of a connection
//
// The switch says goodbye by closing the control socket. The Conn then delivers
// what had already been queued for it, calls fail with an error that matches
// [ErrHangup], and [Conn.Context] is cancelled with that cause. Close ends the
// connection from this side: calls then fail with [net.ErrClosed].
//
// # Sharp edges
//
// A VDE switch may drop frames for a port that does not read: stock switches
// drop without a count as soon as the kernel's queue is full (278 frames of 60
// bytes or 93 of 1514 with Linux's default send buffer at the switch).
// Stock vde_switch cuts frames longer than 1518 bytes. A switch ignores frames
// shorter than a header (14 bytes), so writing one is an error here.
package vde
