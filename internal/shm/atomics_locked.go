// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build arm || mips || mipsle

package shm

// sharedAtomics: see atomics_native.go. (On arm it depends on the model.)
const sharedAtomics = false
