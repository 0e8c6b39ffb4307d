// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// searchable reports whether this process may enter the directory path.
func searchable(path string) bool { return unix.Access(path, unix.X_OK) == nil }

// writable reports whether this process may connect to the socket path.
func writable(path string) bool { return unix.Access(path, unix.W_OK) == nil }

// describe gives a file's mode, owner and group.
func describe(fi fs.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fi.Mode().String()
	}
	owner, group := strconv.Itoa(int(st.Uid)), strconv.Itoa(int(st.Gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	return fmt.Sprintf("%v, owner %s, group %s", fi.Mode(), owner, group)
}
