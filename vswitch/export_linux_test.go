// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

// What the fuzz target of the control protocol uses.
var (
	ReadRequest = readRequest
	ErrSilent   = errSilent
)
