// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package unixsock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/internal/sockfile"
	"github.com/go-vde/sdk/internal/transport"
)

// maxPath is the longest path of a socket in bytes.
const maxPath = 107

// A Permission says who may use a socket: the bits are those of its file. One with an
// abstract name has none, and [Name.Admits] says whom they admit.
type Permission struct {
	Mode  fs.FileMode // 0: 0700
	Group string      // by name or number; empty: that of the process
}

// A Name is the name of a socket in the file system, or an abstract one.
type Name struct {
	dir  *sockfile.Dir // nil if it is abstract
	file *sockfile.File

	mode fs.FileMode // of an abstract one: whom to admit
	gid  int
}

// ErrInUse says that a process that lives has the name.
var ErrInUse = errors.New("the name is in use")

// Socket returns a new unix socket of the given kind, which does not wait.
func Socket(kind int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	transport.RefuseDescriptors(fd) // fails on old kernels
	return fd, nil
}

// Bind binds sock, a socket of the given kind, to path. A socket file there that a
// dead process has left is removed. If the process lives, the error matches
// [ErrInUse] and EADDRINUSE; anything but a socket is left alone.
func Bind(sock, kind int, path string, p Permission) (_ *Name, err error) {
	gid, err := account.GroupID(p.Group)
	if err != nil {
		return nil, fmt.Errorf("group %q of %s: %w", p.Group, path, err)
	}
	dir, base, err := locate(path)
	if err != nil {
		return nil, err
	}
	n := &Name{}
	if n.dir, err = sockfile.OpenDir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.Remove()
		}
	}()
	mode := cmp.Or(p.Mode, 0o700)
	for range 10 { // others may be at the same
		n.file, err = n.dir.Bind(sock, base, mode)
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		if err := removeDead(n.dir, base, kind); err != nil {
			return nil, err
		}
	}
	if err == nil && gid != -1 {
		err = n.file.Chown(-1, gid)
	}
	if err == nil {
		err = n.file.Chmod(mode)
	}
	return n, err
}

// locate returns the directory of path, without symbolic links, and the name in it.
func locate(path string) (dir, base string, err error) {
	dir, base = filepath.Split(path)
	if base == "" || base == "." || base == ".." {
		return "", "", fmt.Errorf("%q is not the path of a socket: %w", path, unix.EINVAL)
	}
	if dir == "" {
		dir = "."
	}
	if !filepath.IsAbs(dir) {
		wd, err := os.Getwd()
		if err != nil {
			return "", "", err
		}
		dir = wd + "/" + dir // not Abs, which removes ".." by the letter
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", "", err
	}
	if len(dir)+1+len(base) > maxPath {
		return "", "", fmt.Errorf("path %s/%s has more than the %d bytes that the name of a socket may have: %w", dir, base, maxPath, unix.ENAMETOOLONG)
	}
	return dir, base, nil
}

// removeDead removes a socket that nobody has any more.
func removeDead(dir *sockfile.Dir, base string, kind int) error {
	err := dir.RemoveDead(base, kind)
	if errors.Is(err, sockfile.ErrAlive) || errors.Is(err, unix.EPROTOTYPE) || errors.Is(err, unix.EPERM) {
		// EPERM: a datagram socket that is connected to another one
		return fmt.Errorf("%s/%s: %w (%w)", dir.Path(), base, ErrInUse, unix.EADDRINUSE)
	}
	return err
}

// Remove removes the name, if it is still that of the socket. An abstract one goes with
// its socket.
func (n *Name) Remove() {
	if n.dir == nil {
		return
	}
	if n.file != nil {
		_ = n.file.Remove() // it may be gone
		n.file.Close()
	}
	n.dir.Close()
}

// Connect connects sock to the socket at path. It waits while the backlog there is
// full, until ctx ends.
func Connect(ctx context.Context, sock int, path string) error {
	if len(path) > maxPath {
		return fmt.Errorf("path %s has more than %d bytes: %w", path, maxPath, unix.ENAMETOOLONG)
	}
	// The poller has no event for the end of a full backlog.
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := unix.Connect(sock, &unix.SockaddrUnix{Name: path})
		switch err {
		case nil:
			return nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
		default:
			return &fs.PathError{Op: "connect", Path: path, Err: err}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return &fs.PathError{Op: "connect", Path: path, Err: fmt.Errorf("its backlog is full: %w", context.Cause(ctx))}
		}
	}
}

// IsAbstract reports whether the path of a socket is an abstract name, which begins with
// @.
func IsAbstract(path string) bool { return strings.HasPrefix(path, "@") }

// bindAbstract is Bind for an abstract name.
func bindAbstract(sock int, name string, p Permission) (*Name, error) {
	if len(name) > maxPath {
		return nil, fmt.Errorf("name %s has more than %d bytes: %w", name, maxPath, unix.ENAMETOOLONG)
	}
	gid, err := account.GroupID(p.Group)
	if err != nil {
		return nil, fmt.Errorf("group %q of %s: %w", p.Group, name, err)
	}
	if gid == account.NoGroup {
		gid = os.Getegid()
	}
	return &Name{mode: cmp.Or(p.Mode, 0o700), gid: gid}, os.NewSyscallError("bind", unix.Bind(sock, &unix.SockaddrUnix{Name: name}))
}

// Admits reports whether the process at the other end of fd, a connection, may be there.
// For an abstract name that is decided here, as the kernel does for a file with the same
// permissions. Of the groups of the process the kernel tells one, the effective.
func (n *Name) Admits(fd int) bool {
	if n.dir != nil {
		return true
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	switch {
	case err != nil:
		return false
	case cred.Uid == 0:
		return true
	case int(cred.Uid) == os.Geteuid():
		return n.mode&0o200 != 0
	case int(cred.Gid) == n.gid:
		return n.mode&0o020 != 0
	}
	return n.mode&0o002 != 0
}

// Listen returns a listening socket of the given kind at path, which may be an abstract
// name.
func Listen(kind int, path string, p Permission) (fd int, n *Name, err error) {
	if fd, err = Socket(kind); err != nil {
		return -1, nil, err
	}
	if IsAbstract(path) {
		n, err = bindAbstract(fd, path, p)
	} else {
		n, err = Bind(fd, kind, path, p)
	}
	if err == nil {
		if err = os.NewSyscallError("listen", unix.Listen(fd, 16)); err != nil {
			n.Remove()
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, nil, err
	}
	return fd, n, nil
}
