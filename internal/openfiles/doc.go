// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package openfiles looks at the descriptors of this process, for tests.
package openfiles

import "fmt"

// A File is an open descriptor and what it refers to, so that what has been closed
// and what got its number afterwards are two.
type File struct {
	What          string // as in /proc/self/fd
	descriptor    int
	device, inode uint64
}

// String names f.
func (f File) String() string { return fmt.Sprintf("%d (%s)", f.descriptor, f.What) }

// A Set is the descriptors that were open at a moment. It is empty on systems other
// than Linux.
type Set map[File]bool

// Since returns those of s that are not in before.
func (s Set) Since(before Set) (list []File) {
	for f := range s {
		if !before[f] {
			list = append(list, f)
		}
	}
	return list
}
