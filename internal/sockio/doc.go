// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package sockio moves batches of datagrams through one socket that sits on the
// Go runtime poller.
//
// It is mechanism only: it knows nothing of Ethernet, of VDE or of counters.
// A call that waits parks its goroutine and holds no thread. On Linux a batch is
// one recvmmsg or sendmmsg; on the BSDs and macOS it is a loop of single calls
// behind the same methods (see mmsg_linux.go and nommsg_bsd.go), and each direction
// is on the poller only while that pays (see descriptor_linux.go).
//
// Buffers are lent for the duration of a call. Nothing is retained: the headers
// that point at them are cleared before the call returns.
package sockio
