// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vde connects Go programs to Virtual Distributed Ethernet networks.
//
// Use it to send and receive Ethernet frames on a port of a VDE switch:
// vde_switch, a node of vdeplug4 or package vswitch. It needs no C library.
//
//	c, err := vde.Open(ctx, "/run/vde.ctl") // the switch's control directory
//	if err != nil {
//		return err
//	}
//	defer c.Close()
//	_, err = c.Write(frame) // a whole frame, without frame check sequence
//
// [Open] works on Linux; elsewhere its error matches [errors.ErrUnsupported].
//
// # Receiving and sending
//
// [Conn.Read] and [Conn.Write] move one frame, [Conn.ReadBatch] and
// [Conn.WriteBatch] many with one system call. [Conn.WriteBuffers] gathers frames
// from pieces. [Conn.Frames] delivers received frames on a channel, in pooled
// buffers that the receiver must release. None of them allocates per frame.
//
// A write waits while the peer's queue is full, until the write deadline or Close;
// [Conn.TryWriteBatch] returns [ErrFull] instead. [Stats] counts by cause the
// frames that were received and not delivered, and those that were not sent.
// Switches may drop frames for a port that does not read. Stock vde_switch also
// cuts frames longer than 1518 bytes.
//
// To move TCP segments of up to 64 KB, or to leave checksums to the other side,
// call [Conn.ReadPackets] and [Conn.WritePackets]. [Conn.Caps] returns what the
// other side takes; WritePackets does the rest in software. [WithOffload] offers
// it on sockets too.
//
// Open also offers shared memory, and a stream that holds many frames in one
// message, which only package vswitch accepts; see [WithSharedMemory] and
// [WithStreams].
//
// # End of a connection
//
// When the switch closes the control socket, reads return the frames already
// queued, then calls fail with an error that matches [ErrHangup], the cause of
// [Conn.Context]. After Close, calls fail with [net.ErrClosed].
package vde
