// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package openfiles

// Open returns nil: there is no list to read.
func Open() Set { return nil }
