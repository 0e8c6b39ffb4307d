// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package unixsock makes unix sockets with names for drivers: it binds them, in the
// place of what a dead process has left and of nothing else, connects to them, and
// accepts one peer at a time. It is for Linux.
package unixsock
