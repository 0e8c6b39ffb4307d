// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/internal/sockfile"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// A controlDir is a control directory and the sockets in it.
//
// Clients may be able to write to it. So everything in it is done by way of
// package sockfile, never by a path that somebody could have exchanged.
type controlDir struct {
	path    string        // absolute, without symbolic links: replies name sockets in it
	dir     *sockfile.Dir // nil until it is opened
	made    bool          // the directory was made by Listen
	sockets []*ctlSocket

	mode, dirMode fs.FileMode // of sockets and directory
	gid           int         // of both; -1 to leave it
	keep          bool        // leave the permissions of a directory that was there
}

// A ctlSocket is a listening control socket.
type ctlSocket struct {
	file  *os.File
	name  *sockfile.File
	group string // its port group; empty for ctl
}

// listen makes the directory, if it is not there, and the control sockets.
func (d *controlDir) listen(dir string, cfg *Config) error {
	d.mode, d.dirMode = modes(cfg.Mode, cfg.DirMode)
	d.keep = cfg.Mode == 0 && cfg.DirMode == 0
	if err := d.setGroup(cfg.Group); err != nil {
		return err
	}
	if err := d.make(dir); err != nil {
		return err
	}
	unlock := d.lock()
	defer unlock()
	if err := d.listenOn("ctl", ""); err != nil {
		return err
	}
	for name := range cfg.PortGroups {
		if err := d.listenOn(name, name); err != nil {
			return err
		}
	}
	return nil
}

// modes returns the modes of sockets and directory that those configured amount
// to (docs/spec/vde-protocol.md, section 15).
func modes(mode, dirMode fs.FileMode) (sockets, dir fs.FileMode) {
	switch {
	case mode == 0 && dirMode == 0:
		return 0o600, 0o700 | fs.ModeSetgid
	case mode == 0:
		return dirMode & 0o666, dirMode
	case dirMode == 0:
		// Search permission for each class that may read or write.
		dir = mode | (mode>>1|mode>>2)&0o111 | fs.ModeSetgid
		if dir&0o022 != 0 {
			dir |= fs.ModeSticky // users who may add names there may not exchange those of others
		}
		return mode, dir
	}
	return mode, dirMode
}

// setGroup looks up the group that files get, if name is not empty.
func (d *controlDir) setGroup(name string) (err error) {
	if d.gid, err = account.GroupID(name); err != nil {
		return fmt.Errorf("look up group %q: %w", name, err)
	}
	return nil
}

// make makes the directory if necessary, sets its permissions and fills in
// d.path.
func (d *controlDir) make(dir string) error {
	err := os.Mkdir(dir, 0o700)
	d.made = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if d.path, err = resolveDir(dir); err != nil {
		return err
	}
	if limit := wire.MaxPathLen - len("/ctl"); len(d.path) > limit {
		return fmt.Errorf("path of %d bytes, at most %d fit a socket address with what is added: %w", len(d.path), limit, unix.ENAMETOOLONG)
	}
	if d.dir, err = sockfile.OpenDir(d.path); err != nil {
		return err
	}
	if d.made {
		// Whoever may write to the directory above can have exchanged it since.
		if uid, err := d.dir.Owner(); err != nil || int(uid) != os.Geteuid() {
			d.made = false
			return errors.Join(err, fmt.Errorf("%s: %w", d.path, sockfile.ErrReplaced))
		}
	}
	if d.gid >= 0 {
		if err := d.dir.Chown(d.gid); err != nil {
			return err
		}
	}
	if d.keep && !d.made {
		return nil
	}
	return d.dir.Chmod(d.dirMode)
}

// resolveDir returns dir as an absolute path without symbolic links.
func resolveDir(dir string) (string, error) {
	if !filepath.IsAbs(dir) {
		wd, err := os.Getwd()
		if err != nil {
			return "", err
		}
		dir = wd + "/" + dir // not cleaned: ".." behind a symbolic link leads elsewhere
	}
	return filepath.EvalSymlinks(dir)
}

// listenOn makes one control socket. It is made under a name of its own and gets
// the final one when it answers.
func (d *controlDir) listenOn(name, group string) error {
	if path := d.path + "/" + name; len(path) > wire.MaxPathLen {
		return fmt.Errorf("socket %s: %w", path, unix.ENAMETOOLONG)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	s := &ctlSocket{file: os.NewFile(uintptr(fd), d.path+"/"+name), group: group}
	if s.name, err = d.listenAt(fd, name); err != nil {
		s.file.Close()
		return err
	}
	d.sockets = append(d.sockets, s)
	return nil
}

// listenAt has fd listen at name.
func (d *controlDir) listenAt(fd int, name string) (*sockfile.File, error) {
	temp, err := d.bind(fd, unix.SOCK_STREAM, temporaryName, d.mode, -1)
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = temp.Remove()
		temp.Close()
	}()
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	for {
		f, err := temp.Link(name)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		if err := d.takeOver(name); err != nil {
			return nil, err
		}
	}
}

// backlog is how many clients may wait for accept; the system's limit
// (net.core.somaxconn) may be lower. A client beyond it has to try again.
const backlog = 4096

// temporaryName returns names for a control socket that does not listen yet. None
// is longer than "ctl", which fits.
func temporaryName(try int) string {
	if try == 0 {
		return ".ct"
	}
	return fmt.Sprintf(".%02s", strconv.FormatUint(rand.Uint64N(36*36), 36))
}

// bind binds fd, a socket of the given kind, to the first of the names that is
// free, and gives the file its mode and owner. The name of a dead socket is free;
// it is removed. Others may have taken any number of names, so some are tried.
//
// The file is never open to more than mode lets in: only when it belongs to the
// right user and group are others let in.
func (d *controlDir) bind(fd, kind int, name func(try int) string, mode fs.FileMode, uid int) (*sockfile.File, error) {
	const tries = 32
	var f *sockfile.File
	err := error(unix.EADDRINUSE)
	for i := 0; i < tries && errors.Is(err, unix.EADDRINUSE); i++ {
		n := name(i)
		if f, err = d.dir.Bind(fd, n, mode); errors.Is(err, unix.EADDRINUSE) && d.dir.RemoveDead(n, kind) == nil {
			f, err = d.dir.Bind(fd, n, mode)
		}
	}
	if err != nil {
		return nil, err
	}
	if uid >= 0 || d.gid >= 0 {
		err = f.Chown(uid, d.gid)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	if err != nil {
		_ = f.Remove()
		f.Close()
		return nil, err
	}
	return f, nil
}

// takeOver removes the control socket called name if nobody listens to it.
func (d *controlDir) takeOver(name string) error {
	err := d.dir.RemoveDead(name, unix.SOCK_STREAM)
	if errors.Is(err, sockfile.ErrAlive) {
		return fmt.Errorf("%w: it answers at %s/%s", ErrInUse, d.dir.Path(), name)
	}
	return err
}

// remove closes the control sockets and removes what Listen made.
func (d *controlDir) remove() error {
	var errs []error
	for _, s := range d.sockets {
		// Its name first: a client that still finds it would wait in a queue.
		errs = append(errs, s.name.Remove())
		s.close()
	}
	return errors.Join(errs...)
}

// close closes the socket, and first those that wait for accept: what has been sent
// to them may take long to close.
func (s *ctlSocket) close() {
	if raw, err := s.file.SyscallConn(); err == nil {
		_ = raw.Control(func(l uintptr) {
			_ = unix.Shutdown(int(l), unix.SHUT_RDWR) // nobody can connect after this
			for {
				fd, _, err := unix.Accept4(int(l), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
				if err == nil {
					transport.CloseConnection(fd)
				} else if err != unix.EINTR {
					return
				}
			}
		})
	}
	s.file.Close()
}

// close closes the directory, when nothing in it is to be removed any more, and
// removes it if Listen made it and it is empty.
func (d *controlDir) close() error {
	if d.dir == nil {
		return nil
	}
	defer d.dir.Close()
	if !d.made || !d.dir.Same(d.path) {
		return nil
	}
	err := unix.Rmdir(d.path)
	if err == unix.ENOENT || err == unix.ENOTEMPTY {
		return nil // files of others stay
	}
	return os.NewSyscallError("rmdir", err)
}

// bindData binds fd, the data socket of e, which has its port and number.
func (d *controlDir) bindData(fd int, e *endpoint) (*sockfile.File, error) {
	mode, uid := d.mode, -1
	if os.Geteuid() == 0 && e.info.UID != 0 {
		mode, uid = mode&0o700, int(e.info.UID)
	}
	f, err := d.bind(fd, unix.SOCK_DGRAM, func(try int) string { return d.dataName(e, try) }, mode, uid)
	if err != nil {
		return nil, err
	}
	f.Close() // it is removed by its name
	return f, nil
}

// dataName returns names for the data socket of e.
func (d *controlDir) dataName(e *endpoint, try int) string {
	name := fmt.Sprintf("%03d.%d", e.port.num, e.info.ID)
	if try > 0 {
		name = fmt.Sprintf("%s.%d", name, rand.Uint32())
	}
	if len(d.path+"/"+name) <= wire.MaxPathLen {
		return name
	}
	// No longer than "ctl", which fits.
	const names = 36 * 36 * 36
	n := e.info.ID % names
	if try > 0 {
		n = rand.Uint64N(names)
	}
	return strconv.FormatUint(n, 36)
}
