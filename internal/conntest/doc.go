// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package conntest has what tests of package vde and of its drivers share: it
// opens Conns on the fake switches of package testutil, exchanges numbered
// frames with them, and bounds every wait.
//
//	c, client := conntest.Join(t)      // a port of a fake switch, and the switch's end
//	conntest.Send(t, client, 1, 2)     // the switch sends frames 1 and 2
//	conntest.Expect(t, c, 1, 2)        // the Conn reads them
//	f := conntest.Await(t, "a frame", c.Frames())
//
// A test that waits for longer than [Patience] fails.
package conntest
