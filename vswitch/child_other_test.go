// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package vswitch_test

// runChild does nothing where no tests need a switch in another process.
func runChild() {}
