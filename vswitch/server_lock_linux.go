// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockName is the file that a starting switch locks.
const lockName = ".lk"

// lock keeps other starting switches of this kind out of the directory: the moment
// between the finding that a socket is stale and its replacement must belong to one
// of them. unlock must be called.
//
// What is locked is a file that nobody else may open: whoever may open a file can
// lock it, and the directory may be readable to many. Where somebody keeps the name
// for a file of his own, or the lock is held for longer than a start takes, this
// switch starts without: two that start in the same moment may then both remove the
// other's socket, nothing more.
func (d *controlDir) lock() (unlock func()) {
	const tries, pause = 400, 5 * time.Millisecond
	for range tries {
		fd, err := d.dir.OpenFile(lockName, unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return func() {}
		}
		if !ownFile(fd) {
			unix.Close(fd)
			return func() {}
		}
		switch unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) {
		case nil:
			if d.dir.Has(lockName, fd) {
				return func() {
					_ = d.dir.Remove(lockName, fd)
					unix.Close(fd)
				}
			}
			// Its holder has removed it.
		case unix.EWOULDBLOCK:
			time.Sleep(pause)
		case unix.EINTR:
		default: // a file system without locks
			_ = d.dir.Remove(lockName, fd)
			unix.Close(fd)
			return func() {}
		}
		unix.Close(fd)
	}
	return func() {}
}

// ownFile reports whether the file open as fd belongs to this process's user or to
// root, and nobody else may open it.
func ownFile(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o077 == 0 &&
		(int(st.Uid) == os.Geteuid() || st.Uid == 0)
}
