// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"os"

	"golang.org/x/sys/unix"
)

// plugPipeSize is less than vde_plug reads at once: it gets out of step when such a
// read ends between the two bytes of a length.
const plugPipeSize = 8192

// setPipeSize sets the capacity of f if it is a pipe.
func setPipeSize(f *os.File, n int) {
	_, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, cmp.Or(n, plugPipeSize)) // it works without
}

func dup2(from, to int) error { return os.NewSyscallError("dup3", unix.Dup3(from, to, 0)) }
