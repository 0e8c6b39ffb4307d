// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build unix && !linux

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

func setPipeSize(*os.File, int) {}

func dup2(from, to int) error { return os.NewSyscallError("dup2", unix.Dup2(from, to)) }
