// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !arm && !mips && !mipsle

package shm

// sharedAtomics says that package sync/atomic makes 64-bit operations of
// instructions that are atomic for all processors, and not with a lock of its own
// process.
const sharedAtomics = true
