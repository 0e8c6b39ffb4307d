// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package testutil helps to test programs that join Virtual Distributed Ethernet networks. It needs no installed
// VDE and no privileges.
//
//   - [FakeHub] is a network for the clients of a test. [NewFakeSwitch] makes a switch that the test scripts byte
//     by byte, for example to refuse a client, or to close a connection in the middle of a reply.
//   - [TestPacketConn] tests an implementation of [net.PacketConn] for what package vde promises of its own.
//   - [NoLeaks], [NoFiles], [NoLive] and [Main] fail a test that leaves goroutines, descriptors, files or buffers
//     behind.
//
// What a helper starts ends with the test. The package is for tests only: it imports testing.
package testutil
