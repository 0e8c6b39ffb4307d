// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package main

import "io/fs"

// Where there are no permission bits, joining tells.

func searchable(string) bool { return true }

func writable(string) bool { return true }

func describe(fi fs.FileInfo) string { return fi.Mode().String() }
