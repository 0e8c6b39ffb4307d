// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package testutil helps tests that join Virtual Distributed Ethernet networks.
//
// It offers two kinds of peers. The fake ones (names that begin with Fake) run inside the test, on every
// system, and can be told to misbehave at a chosen byte. The real ones are the programs of the VDE project and
// the Linux kernel:
//
//   - [Switch] runs a vde_switch, [Node] one of the switches inside libvdeplug (switch, hub, multi, bonding).
//     Both can be stopped, killed, paused and started again, and both satisfy [SwitchHandle], so a suite
//     written against that interface also runs against a switch of another make.
//   - [CPeer] is a small C program linked with libvdeplug that sends, receives, checks or echoes frames whose
//     content [FillTestFrame] defines, so Go and C can stand at either end.
//   - [VdePlug] runs a vde_plug whose standard streams become a station of the test: Send and Recv.
//   - [TapStation] is a kernel TCP/IP stack in a network namespace of its own, plugged into a VDE network.
//
// Whatever a helper starts, it also ends: cleanup is registered with the test, and only processes started here
// are signalled, by process descriptor or pid. The output of a real peer is kept and logged if the test
// fails. Every real peer is ready when its constructor returns; nothing sleeps to get there.
//
// A helper that lacks something skips the test by the name of what is missing ([Need]); with CI=true in the
// environment it fails the test instead, so that a badly furnished machine does not look like a green one.
//
// [NoLeaks], [NoFiles], [NoLive] and [Main] find what the code under test forgot to give back.
//
// The package is for tests only: it imports testing.
package testutil
