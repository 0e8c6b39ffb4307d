// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"os"

	"golang.org/x/sys/unix"
)

// OfferSize returns how many bytes of memory the descriptors that came with a request
// share, 0 if they offer none that [Accept] would take. They stay the caller's. The
// size cannot change any more: a region that can is not taken.
func OfferSize(fds []int) (int64, error) {
	if len(fds) == 0 || checkSeals(fds[0]) != nil {
		return 0, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(fds[0], &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return st.Size, nil
}
