// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package streamio carries frames over a stream socket, each behind a header that
// says how long it is. A [Framing] is the header; QEMU's is [QEMU].
//
//	l, err := streamio.NewLink(fd, streamio.Config{Framing: streamio.QEMU, Address: "stream:///run/vm.sock"})
//
// A send copies a batch into one buffer and writes it with one system call; a
// receive takes what one read of up to 256 KB has brought. Calls that wait park
// their goroutine on the runtime poller. Nothing is allocated for a frame. The
// package knows of no locator and no protocol above the header. It is for Linux.
//
// [Link] is a [link.Link], whose end is that of the stream. [Conn] is the same as a
// transport.Transport, for a connection whose end another socket tells of.
//
// [link.Link]: https://pkg.go.dev/github.com/go-vde/sdk/link#Link
package streamio
