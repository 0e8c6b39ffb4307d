// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/internal/sockfile"
)

// A Listener is a console's socket.
type Listener struct {
	net.Listener
	path string // as given
	mode fs.FileMode

	dir   *sockfile.Dir
	file  *sockfile.File
	close func() error
}

// Listen makes the socket path, with the permissions mode (0: 0600) and the group of the
// given name or number, if it is not empty. A socket that nobody listens to is replaced;
// one at which a program answers makes it fail with [ErrInUse]. Nothing else is replaced,
// and no symbolic link followed. The directory must be there.
func Listen(path string, mode fs.FileMode, group string) (*Listener, error) {
	l := &Listener{path: path, mode: mode}
	if mode == 0 {
		l.mode = 0o600
	}
	if err := l.listen(group); err != nil {
		return nil, fmt.Errorf("console: listen at %s: %w", path, err)
	}
	l.close = sync.OnceValue(func() error {
		// Its name first: a client that still finds it would wait.
		err := l.file.Remove()
		l.file.Close()
		l.dir.Close()
		return errors.Join(err, l.Listener.Close())
	})
	return l, nil
}

// Close closes the socket and removes its file.
func (l *Listener) Close() error { return l.close() }

// maxPath is the longest path that fits a socket address.
const maxPath = 107

func (l *Listener) listen(group string) error {
	if l.mode&^0o777 != 0 {
		return fmt.Errorf("permissions %#o: %w", l.mode, unix.EINVAL)
	}
	gid, err := account.GroupID(group)
	if err != nil {
		return fmt.Errorf("look up group %q: %w", group, err)
	}
	absolute, err := filepath.Abs(l.path)
	if err != nil {
		return err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(absolute))
	if err != nil {
		return err
	}
	name := filepath.Base(absolute)
	if len(parent)+1+max(len(name), 4) > maxPath {
		return unix.ENAMETOOLONG
	}
	if l.dir, err = sockfile.OpenDir(parent); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		l.dir.Close()
		return os.NewSyscallError("socket", err)
	}
	socket := os.NewFile(uintptr(fd), l.path)
	defer socket.Close()
	if err = l.listenAt(fd, name, gid); err == nil {
		if l.Listener, err = net.FileListener(socket); err != nil {
			_ = l.file.Remove()
			l.file.Close()
		}
	}
	if err != nil {
		l.dir.Close()
		return err
	}
	l.Listener.(*net.UnixListener).SetUnlinkOnClose(false)
	return nil
}

// listenAt has fd listen at name: under another name first, so that whoever finds the
// socket finds it answering, with its owner and permissions.
func (l *Listener) listenAt(fd int, name string, gid int) error {
	temp, err := l.bind(fd)
	if err != nil {
		return err
	}
	defer func() {
		_ = temp.Remove()
		temp.Close()
	}()
	if gid != account.NoGroup {
		if err := temp.Chown(-1, gid); err != nil {
			return err
		}
	}
	if err := temp.Chmod(l.mode); err != nil {
		return err
	}
	const backlog = 4096 // or what the system allows
	if err := unix.Listen(fd, backlog); err != nil {
		return os.NewSyscallError("listen", err)
	}
	for {
		if l.file, err = temp.Link(name); err == nil || !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := l.takeOver(name); err != nil {
			return err
		}
	}
}

// bind binds fd to a name that is not taken.
func (l *Listener) bind(fd int) (*sockfile.File, error) {
	const tries = 32
	for range tries {
		name := fmt.Sprintf(".%03s", strconv.FormatUint(rand.Uint64N(36*36*36), 36))
		f, err := l.dir.Bind(fd, name, l.mode)
		if !errors.Is(err, unix.EADDRINUSE) {
			return f, err
		}
	}
	return nil, unix.EADDRINUSE
}

// takeOver removes the socket called name if nobody listens to it.
func (l *Listener) takeOver(name string) error {
	err := l.dir.RemoveDead(name, unix.SOCK_STREAM)
	if errors.Is(err, sockfile.ErrAlive) {
		return ErrInUse
	}
	return err
}
