// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package sockio moves batches of frames through one socket that sits on the Go
// runtime poller: a [Socket], of which each datagram is one frame, or a [Stream],
// which carries many in one message. How frames lie in a stream is its [Framing]: the
// one between our own ends, [QEMU], or [Hyperkit].
//
// It is mechanism only: it knows nothing of VDE or of counters. A call that waits
// parks its goroutine and holds no thread. A batch of datagrams is one recvmmsg or sendmmsg, and
// each direction is on the poller only while that pays (see descriptor_linux.go).
// The package is empty on systems other than Linux.
//
// Buffers are lent for the duration of a call. Nothing is retained: the headers
// that point at them are cleared before the call returns.
package sockio
