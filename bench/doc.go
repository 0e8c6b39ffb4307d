// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package bench measures the SDK next to the alternatives of its users: the same
// frames travel from an endpoint A to an endpoint B through memory, bare sockets,
// connections, the switches of several projects and the bridge of the kernel.
//
// The benchmarks are in the tests. To run one of them:
//
//	go test -run '^$' -bench 'Switch/size=64/path=(shm|bridge)'
//
// Their names consist of key=value parts, so benchstat can compare any two of
// them. To run all in alternating rounds, and to write the tables and pictures of
// docs/performance.md, run cmd/report; to compare two revisions, run make compare,
// which uses cmd/compare.
//
// Every benchmark counts frames at the receiver. After its frames, a sender sends
// a marker until the receiver has received it; frames that have not arrived by
// then are lost, and reported as %lost. The time is from before the first frame
// until the marker arrives.
package bench
