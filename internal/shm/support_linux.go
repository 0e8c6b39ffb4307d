// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"bytes"
	"errors"
	"os"
	"sync"
)

// supported returns why this system cannot use rings, or nil.
var supported = sync.OnceValue(func() error {
	if !sharedAtomics {
		return errors.New("shm: 64-bit atomic operations of this architecture do not work between processes")
	}
	// Without overcommit there may be no memory for a page that is touched for the
	// first time, or again after the other side punched a hole, and that kills.
	if b, err := os.ReadFile("/proc/sys/vm/overcommit_memory"); err != nil || bytes.Equal(bytes.TrimSpace(b), []byte("2")) {
		return errors.New("shm: this system may refuse memory when it is touched")
	}
	return nil
})
