// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// needSeals must be on a region before it is mapped: without them the other side
// could truncate it, and the next access would kill this process.
const needSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW

// lastSeals are added when both sides have mapped the region. Both go on writing
// to it; but nobody can punch holes, so that the next access has to wait for the
// file system and for memory.
const lastSeals = unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL

// makeRegion returns a sealed memory file of n bytes.
func makeRegion(n int) (fd int, err error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("vde", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("vde", flags)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err = unix.Ftruncate(fd, int64(n)); err != nil {
		err = os.NewSyscallError("ftruncate", err)
	} else {
		err = addSeals(fd, needSeals)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func addSeals(fd, seals int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return os.NewSyscallError("fcntl", err)
}

// sealRegion adds the last seals to a region that is mapped. It fails before
// Linux 5.1.
func sealRegion(fd int) error {
	if err := addSeals(fd, lastSeals); err != nil {
		return fmt.Errorf("shm: cannot seal the region: %w", err)
	}
	return nil
}

// checkSeals reports why fd, which the other side made, must not be used as a
// region. It is the first check of a descriptor that may be anything: it fails at
// once for what is no memory file, while read or even stat could block for ever.
func checkSeals(fd int) error {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	switch {
	case err != nil:
		return fmt.Errorf("shm: not a memory file: %w", os.NewSyscallError("fcntl", err))
	case seals&needSeals != needSeals:
		return fmt.Errorf("shm: the region has seals %#x, not all of %#x", seals, needSeals)
	case seals&(unix.F_SEAL_WRITE|unix.F_SEAL_FUTURE_WRITE) != 0:
		return errors.New("shm: the region is sealed against writing")
	}
	// Pages of a hugetlb file can run out when they are touched, which kills.
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return os.NewSyscallError("fstatfs", err)
	} else if fs.Type != unix.TMPFS_MAGIC {
		return fmt.Errorf("shm: the region lies in a file system of type %#x", fs.Type)
	}
	return nil
}

// checkLen reports why fd, which passed checkSeals, has not the length n.
func checkLen(fd, n int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	} else if st.Size != int64(n) {
		return fmt.Errorf("shm: the region has %d bytes, its offer says %d", st.Size, n)
	}
	return nil
}

func mapRegion(fd, n int) ([]byte, error) {
	b, err := unix.Mmap(fd, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return b, os.NewSyscallError("mmap", err)
}
