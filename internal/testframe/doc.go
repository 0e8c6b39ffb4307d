// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package testframe builds and checks the frames that tests exchange.
//
// Numbered test frames ([Fill], [Check]) show losses, duplicates and damage; the C peers of package testpeers
// build and check the same ones:
//
//	b := make([]byte, 1514)
//	testframe.Fill(b, 7)
//	seq, err := testframe.Check(b) // 7, nil
//
// [ARP] and [Echo] hold enough of ARP, IPv4 and ICMP to ping a kernel frame by frame.
package testframe
