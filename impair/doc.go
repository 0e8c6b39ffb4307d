// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package impair makes a good network bad, for tests: it wraps a connection in a
// line with delay, jitter, loss, duplication, reordering, a limited rate and
// partitions, in each direction.
//
//	line, err := impair.New(conn, impair.Config{Seed: 1, Out: impair.Impairment{Delay: 20 * time.Millisecond, Loss: 0.01}})
//	...
//	conn = line.Conn()
//
// The same seed and the same frames in the same order meet the same fate. All
// waiting is done with package time, so that a line between in-process ports
// runs on the fake clock of testing/synctest. Delay does not limit the rate: any
// number of frames, up to Impairment.Queue, are under way at once. Each frame is
// counted, see Stats.
package impair
