// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package testutil helps to test programs that join Virtual Distributed Ethernet (VDE) networks. It needs no
// installed VDE and no privileges. A test of a program that sends a greeting:
//
//	func TestGreeting(t *testing.T) {
//		testutil.NoLeaks(t)
//		hub := testutil.FakeHub(t)
//		alice, err := vde.Open(t.Context(), hub.VNL())
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer alice.Close()
//		bob, err := vde.Open(t.Context(), hub.VNL())
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer bob.Close()
//
//		greeting := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, 0x88b5)
//		if _, err := alice.Write(append(greeting, "hello"...)); err != nil {
//			t.Fatal(err)
//		}
//		buf := make([]byte, frame.DefaultMaxSize)
//		n, err := bob.Read(buf)
//		if err != nil || string(buf[frame.HeaderLen:n]) != "hello" {
//			t.Errorf("received % x, %v", buf[:n], err)
//		}
//	}
//
// The package offers fake switches, a conformance suite, and checks for leaks:
//
//   - [FakeHub] is a network for the clients of a test. [NewFakeSwitch] makes a switch that follows a script of the
//     test, for example to refuse a client, or to close the connection in the middle of a reply.
//   - [TestPacketConn] tests an implementation of [net.PacketConn] for what package vde promises of its own.
//   - [NoLeaks], [NoFiles], [NoLive], [NoLiveBuffers] and [Main] fail a test that leaves goroutines, descriptors, files
//     or buffers.
//
// What a helper starts ends with the test. The fake switches work on Linux; on other systems they skip the test.
// The package is for tests only: it imports testing.
package testutil
