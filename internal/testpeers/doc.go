// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package testpeers runs the real peers of a test: the programs of the VDE project, C programs on libvdeplug, and
// the TCP/IP stack of the Linux kernel. A test that needs no real peer uses the fake ones of package testutil.
//
//	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
//	conn, err := vde.Open(t.Context(), sw.VNL())
//
// The constructors:
//
//   - [StartSwitch] runs a vde_switch, [StartNode] one of the switches inside libvdeplug (switch, hub, multi,
//     bonding), [StartServer] a program of the test's own that serves a control directory. All of them can be
//     stopped, killed, paused and started again.
//   - [StartCPeer] runs a small C program linked with libvdeplug that sends, receives, checks or echoes the frames
//     of package testframe, so Go and C can stand at either end.
//   - [StartVdePlug] runs a vde_plug that sends and receives for the test: [VdePlug.Send] and [VdePlug.Recv].
//   - [StartKernelTap] connects a TCP/IP stack of the kernel, in a network namespace of its own, to a VDE network.
//   - [StartProcess] runs any program, [NewNamespace] makes an empty network namespace, [NewVeth] two with a cable
//     between them. [VethChanges] is what happens to cables.
//
// Every peer is ready when its constructor returns. The end of the test ends it; only processes started here are
// signalled, by process descriptor or pid. The output of a peer is kept and logged if the test fails.
//
// A helper that lacks something skips the test by the name of what is missing ([Need]); with CI=true in the
// environment it fails the test instead, so that a machine without the peers does not pass.
package testpeers
