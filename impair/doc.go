// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package impair simulates a bad network in tests. It wraps a connection in a
// line with delay, jitter, loss, duplication, reordering, a limited rate and
// partitions, for each direction by itself. Use it to test how a program behaves
// on a network that is slow or loses frames, without root and without netem. The
// ports of a switch of package vswitch can be impaired themselves, while they are in
// use; see its PortConfig.
//
//	line, err := impair.New(conn, impair.Config{
//		Seed: 1,
//		Out:  impair.Impairment{Delay: 20 * time.Millisecond, Loss: 0.01},
//	})
//	...
//	conn = line.Conn()
//
// The example of [New] is a complete program.
//
// With the same seed, the same frames in the same order get the same treatment.
// All waiting uses package time, so a line between ports of a switch in the same
// process runs on the fake clock of testing/synctest. Delay does not limit the
// rate: up to Impairment.Queue frames are under way at once. Every frame is
// counted, see [Stats].
//
// A line is configured by one struct, [Config], because the impairments can be
// replaced while it runs ([Line.Set]) and stored as JSON.
package impair
