// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package console

import "golang.org/x/sys/unix"

// openNonblock has open not wait for the other side of a FIFO.
const openNonblock = unix.O_NONBLOCK | unix.O_NOCTTY
