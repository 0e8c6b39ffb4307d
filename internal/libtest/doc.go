// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package libtest tests libraries of others on the hosts and connections of this SDK:
// one file for each library, in which it exchanges data with itself or with a Host. It
// has no code but tests. It is a module of its own below internal, so that nobody who
// uses the SDK inherits what these libraries depend on.
//
// nettest.TestConn and a client of DHCP, which the module netstack needs anyway, are
// tested there, and wireguard-go in the module wgtun.
package libtest
