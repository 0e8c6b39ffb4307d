// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package switchtest tests package vde against a running switch of any make, together with C programs on
// libvdeplug, vde_plug, and the TCP/IP stack of the kernel.
//
//	func TestInterop(t *testing.T) {
//		switchtest.Run(t, func(t testing.TB, cfg switchtest.Config) switchtest.Switch {
//			return testpeers.StartSwitch(t, testpeers.SwitchConfig{Ports: cfg.Ports, Hub: cfg.Hub, Mode: cfg.Mode})
//		}, switchtest.Options{Lossy: true, MaxFrame: 1518, Cuts: true, FixedDir: true, FixedUser: true})
//	}
//
// [Run] takes a function that starts a switch and tests everything that a program on it relies on. What a switch
// can do beyond the methods of [Switch] is found by type assertion, and [Options] names the ways in which switches
// may differ. So the same tests serve vde_switch, the nodes of libvdeplug, and a switch written in Go.
//
// Each test starts a switch of its own. At its end it checks for goroutines, descriptors and pool buffers that are
// left in the process, and for names in the switch's directory and the other places of data sockets. The check sees
// the whole process, so Run must not be called from a test that runs in parallel with others.
//
// A test that needs a client of another user runs the test binary again: the package's init function looks for an
// environment variable, plays the client and exits, before any test runs.
package switchtest
