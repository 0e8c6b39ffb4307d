// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// inheritedPackets returns the sockets of kind SOCK_SEQPACKET that this process was started
// with, for seqpacket:// in the process in the background: the first element is descriptor
// 3, and nil stands for anything else. Other descriptors are not passed on, such as a file
// that is locked or a pipe whose reader waits for its end. The caller closes the files.
func inheritedPackets() []*os.File {
	names, err := os.ReadDir("/dev/fd")
	if err != nil {
		return nil // /proc is not mounted: seqpacket:// will say what is missing
	}
	var files []*os.File
	for _, name := range names {
		fd, err := strconv.Atoi(name.Name())
		if err != nil || fd < 3 || !isInheritedPackets(fd) {
			continue
		}
		for len(files) <= fd-3 {
			files = append(files, nil)
		}
		files[fd-3] = os.NewFile(uintptr(fd), "seqpacket://"+name.Name())
	}
	return files
}

// isInheritedPackets reports whether fd is a socket of kind SOCK_SEQPACKET that was not made
// here: what this process makes does not stay open in others.
func isInheritedPackets(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC != 0 {
		return false
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil && kind == unix.SOCK_SEQPACKET
}
