// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// leftovers are the files that a switch has left behind which was killed. The zero
// value stands for none.
type leftovers struct {
	dir     string   // absolute; empty for none
	sockets []string // names of data sockets in it
}

// dataSocket matches the names of the data sockets of vswitch, vde_switch and the nodes
// of libvdeplug.
var dataSocket = regexp.MustCompile(`^([0-9]{3,}\.[0-9]+(\.[0-9]+)?|fd[0-9]+)$`)

// findLeftovers looks for leftovers in dir: what is there belongs to this user, and ctl
// is a socket. Whether that is dead is found out by listening there. A directory that
// nobody has asked for by its name must not be somebody else's.
func findLeftovers(dir string, unnamed bool) (leftovers, error) {
	fi, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return leftovers{}, nil
	case err != nil:
		return leftovers{}, err
	case unnamed && !own(fi):
		return leftovers{}, fmt.Errorf("%s belongs to another user: give a path in the locator: %w", dir, fs.ErrPermission)
	case !fi.IsDir() || !own(fi):
		return leftovers{}, nil
	}
	ctl, err := os.Lstat(filepath.Join(dir, "ctl"))
	if err != nil || ctl.Mode().Type() != fs.ModeSocket || !own(ctl) {
		return leftovers{}, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return leftovers{}, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return leftovers{}, err
	}
	l := leftovers{dir: abs}
	for _, e := range entries {
		if e.Type() == fs.ModeSocket && dataSocket.MatchString(e.Name()) {
			l.sockets = append(l.sockets, e.Name())
		}
	}
	return l, nil
}

// own reports whether a file belongs to this user.
func own(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// removeSockets removes the data sockets. The switch that had them is dead: this
// process listens in its place.
func (l *leftovers) removeSockets() {
	for _, name := range l.sockets {
		_ = os.Remove(filepath.Join(l.dir, name)) // one that cannot be removed is in nobody's way
	}
}

// removeDir removes the directory, as the switch would have that made it, if it is
// empty.
func (l *leftovers) removeDir() error {
	if l.dir == "" {
		return nil
	}
	err := syscall.Rmdir(l.dir)
	if err == nil || errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // files of others stay
	}
	return &fs.PathError{Op: "rmdir", Path: l.dir, Err: err}
}
