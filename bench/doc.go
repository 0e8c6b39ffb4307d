// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package bench measures the SDK next to everything a user would pick instead:
// the same frames, from a station A to a station B, over memory, bare sockets,
// connections, switches of several makers and the kernel's bridge.
//
// The benchmarks are in the tests. Their names are made of key=value parts, so
// that benchstat can put any two of them side by side. Command report, in
// cmd/report, runs them in alternating rounds and writes the tables and plots of
// docs/performance.md.
//
// Every benchmark counts frames at the receiver. After its frames a sender sends
// a marker, again and again until the receiver has seen it; what has not come by
// then is lost, and reported as %lost. The time is from before the first frame
// is sent until the marker has been received.
package bench
