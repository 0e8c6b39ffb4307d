// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// writePidFile writes the id of this process to the file path, which it makes or
// overwrites, and returns a function that removes the file unless it has the id of another
// process by then.
//
// Others may have put something there in a directory such as /tmp: a symbolic or a hard
// link to a file that would be lost, a FIFO that waits for a reader, or a file in which they
// could name another process to be killed later. All of these are refused.
func writePidFile(path string) (remove func(), err error) {
	text := strconv.Itoa(os.Getpid()) + "\n"
	f, err := openPidFile(path, os.O_WRONLY|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("--pidfile: %w", err)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteString(text)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("--pidfile: %w", err)
	}
	return func() {
		if f, err := openPidFile(path, os.O_RDONLY); err == nil {
			now, err := io.ReadAll(io.LimitReader(f, int64(len(text))+1))
			f.Close()
			if err == nil && string(now) == text {
				os.Remove(path)
			}
		}
	}, nil
}

// openPidFile opens a regular file that belongs to this user or to root and has one name.
// It follows no symbolic link and does not wait.
func openPidFile(path string, flag int) (*os.File, error) {
	// Opening a device can have effects, so what is there is looked at before.
	fi, err := os.Lstat(path)
	if err == nil {
		err = checkPidFile(path, fi)
	}
	if err != nil && (flag&os.O_CREATE == 0 || !errors.Is(err, fs.ErrNotExist)) {
		return nil, err
	}
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, err
	}
	if fi, err = f.Stat(); err == nil {
		err = checkPidFile(path, fi) // it may be another one by now
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkPidFile returns why the file at path is not one to write a process id to.
func checkPidFile(path string, fi fs.FileInfo) error {
	what := ""
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		what = "a symbolic link, which is not followed"
	case !fi.Mode().IsRegular():
		what = "not a regular file"
	case ok && st.Nlink != 1:
		what = "a file with another name (a hard link)"
	case ok && st.Uid != 0 && int(st.Uid) != os.Geteuid():
		what = "a file of another user"
	default:
		return nil
	}
	return fmt.Errorf("%s is %s: remove it, or give another path", path, what)
}
