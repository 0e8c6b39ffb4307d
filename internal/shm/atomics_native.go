// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !arm && !mips && !mipsle

package shm

// sharedAtomics says that package sync/atomic implements 64-bit operations by
// instructions that are atomic for all processors, and not by a lock of its own
// process.
const sharedAtomics = true
