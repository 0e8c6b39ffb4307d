// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/vde"
)

// queuedBytes returns how much of what c has sent the switch has not taken yet.
func queuedBytes(c *vde.Conn) (bytes int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	e := raw.Control(func(fd uintptr) { bytes, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if e != nil {
		return 0, e
	}
	return bytes, os.NewSyscallError("ioctl", err)
}

// A dirWatch is an inotify descriptor.
type dirWatch struct {
	f   *os.File
	buf []byte
}

// watchDir watches a directory: changes that happen from now on are seen.
func watchDir(dir string) (changes, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &dirWatch{f: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 16<<10)}
	const what = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVE | unix.IN_ATTRIB
	if _, err := unix.InotifyAddWatch(fd, dir, what); err != nil {
		w.f.Close()
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	return w, nil
}

func (w *dirWatch) next() error {
	if err := w.f.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := w.f.Read(w.buf)
	return err
}

func (w *dirWatch) close() { w.f.Close() }

// groupOf returns a file's group.
func groupOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Gid) }
