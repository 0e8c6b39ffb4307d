// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"sync/atomic"
	"unsafe"
)

// word64 returns the 8 bytes at off as an atomic word. The region begins at a
// page and off is a multiple of 8, so the word is aligned, on 32-bit systems too.
// The pointer does not keep the region mapped: no word is used after munmap.
func word64(region []byte, off int) *atomic.Uint64 {
	_ = region[off+7]
	return (*atomic.Uint64)(unsafe.Pointer(&region[off]))
}

// word32 is word64 for 4 bytes.
func word32(region []byte, off int) *atomic.Uint32 {
	_ = region[off+3]
	return (*atomic.Uint32)(unsafe.Pointer(&region[off]))
}
