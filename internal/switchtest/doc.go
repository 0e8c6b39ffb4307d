// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package switchtest tests package vde against a running switch of any make, with real stations around it: C
// programs on libvdeplug, vde_plug, the kernel's own TCP/IP stack.
//
// [Run] takes a function that starts a switch and goes through everything that a program on it relies on. What
// a switch can do beyond answering the control protocol is found by type assertion on its
// [Switch]; [Options] names the ways in which one switch lawfully differs from another. So the same
// tests serve vde_switch, the nodes of libvdeplug, and a switch written in Go:
//
//	func TestInterop(t *testing.T) {
//		switchtest.Run(t, func(t testing.TB, cfg switchtest.Config) Switch {
//			return testpeers.StartSwitch(t, testpeers.SwitchConfig{Ports: cfg.Ports, Hub: cfg.Hub, Mode: cfg.Mode})
//		}, switchtest.Options{Lossy: true, MaxFrame: 1518, Cuts: true, FixedDir: true, FixedUser: true})
//	}
//
// Every test starts a switch of its own and ends with a look at what is left of it: goroutines and descriptors
// of the process, names in the switch's directory and in the places where data sockets may be, pool buffers. That look
// sees the whole process, so Run must not be called from a test that runs in parallel with others.
//
// A test that needs a client of another user runs the test binary again: where an environment variable of this
// package's own says so, its init function plays the client and exits, before any test is looked at.
package switchtest
