// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package main

import "io"

func daemonLog() io.Writer { return io.Discard }
