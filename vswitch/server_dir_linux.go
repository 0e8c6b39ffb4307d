// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// A controlDir is a control directory and the sockets in it.
type controlDir struct {
	path    string // absolute, without symbolic links: replies name sockets in it
	made    bool   // the directory was made by Listen
	sockets []*ctlSocket

	mode, dirMode fs.FileMode // of sockets and directory
	gid           int         // of both; -1 to leave it
	keep          bool        // leave the permissions of a directory that was there
}

// A ctlSocket is a listening control socket.
type ctlSocket struct {
	file     *os.File
	path     string
	group    string // its port group; empty for ctl
	dev, ino uint64 // of the file, to recognize it
}

// accept waits for a client.
func (s *ctlSocket) accept() (*transport.Stream, error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	if e := raw.Read(func(l uintptr) bool {
		for {
			fd, _, err = unix.Accept4(int(l), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	}); e != nil {
		return nil, e
	}
	if err != nil {
		return nil, os.NewSyscallError("accept4", err)
	}
	return transport.NewStream(fd, "control stream")
}

// listen makes the directory, if it is not there, and the control sockets.
func (d *controlDir) listen(dir string, cfg *Config) error {
	d.gid = -1
	d.mode, d.dirMode = modes(cfg.Mode, cfg.DirMode)
	d.keep = cfg.Mode == 0 && cfg.DirMode == 0
	if cfg.Group != "" {
		var err error
		if d.gid, err = groupID(cfg.Group); err != nil {
			return err
		}
	}
	if err := d.make(dir); err != nil {
		return err
	}
	unlock, err := d.lock()
	if err != nil {
		return err
	}
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
		return mode, mode | (mode>>1|mode>>2)&0o111 | fs.ModeSetgid
	}
	return mode, dirMode
}

func groupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err == nil {
		return strconv.Atoi(g.Gid)
	}
	if n, e := strconv.ParseUint(name, 10, 31); e == nil {
		return int(n), nil
	}
	return 0, fmt.Errorf("look up group %q: %w", name, err)
}

// make makes the directory if necessary, sets its permissions and fills in
// d.path.
func (d *controlDir) make(dir string) error {
	err := os.Mkdir(dir, 0o700)
	d.made = err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if !filepath.IsAbs(dir) {
		wd, err := os.Getwd()
		if err != nil {
			return err
		}
		dir = wd + "/" + dir // not cleaned: ".." behind a symbolic link leads elsewhere
	}
	if d.path, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	if limit := wire.MaxPathLen - len("/ctl"); len(d.path) > limit {
		return fmt.Errorf("path of %d bytes, at most %d fit a socket address with what is added: %w", len(d.path), limit, unix.ENAMETOOLONG)
	}
	if d.gid >= 0 {
		if err := os.Chown(d.path, -1, d.gid); err != nil {
			return err
		}
	}
	if d.keep && !d.made {
		return nil
	}
	return os.Chmod(d.path, d.dirMode)
}

// lock keeps other starting switches of this kind out of the directory: the
// moment between the finding that a socket is stale and its replacement must
// belong to one of them.
func (d *controlDir) lock() (unlock func(), err error) {
	fd, err := unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() {}, nil // a directory that may be used but not read
	}
	const tries, pause = 400, 5 * time.Millisecond
	for range tries {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil:
			return func() { unix.Close(fd) }, nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			time.Sleep(pause)
		default:
			unix.Close(fd)
			return func() {}, nil // a file system without locks
		}
	}
	unix.Close(fd)
	return nil, fmt.Errorf("%w: it has been locked for %v", ErrInUse, tries*pause)
}

// listenOn makes one control socket. It is made under a name of its own and gets
// the final one when it answers.
func (d *controlDir) listenOn(name, group string) error {
	path, temp := d.path+"/"+name, d.path+"/.ct"
	if len(path) > wire.MaxPathLen {
		return fmt.Errorf("socket %s: %w", path, unix.ENAMETOOLONG)
	}
	if err := removeSocket(temp); err != nil {
		return err
	}
	s := &ctlSocket{path: path, group: group}
	if err := s.listen(temp, d.mode, d.gid); err != nil {
		return err
	}
	defer os.Remove(temp)
	for {
		err := os.Link(temp, path)
		if errors.Is(err, fs.ErrExist) {
			if err = takeOver(path); err == nil {
				continue
			}
		}
		if err != nil {
			s.file.Close()
			return err
		}
		d.sockets = append(d.sockets, s)
		return nil
	}
}

// listen makes the socket, under the name temp.
func (s *ctlSocket) listen(temp string, mode fs.FileMode, gid int) (err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := bindMode(fd, temp, mode, -1, gid); err != nil {
		return err
	}
	if err = unix.Listen(fd, 128); err != nil {
		err = os.NewSyscallError("listen", err)
	}
	var st unix.Stat_t
	if err == nil {
		if err = unix.Lstat(temp, &st); err != nil {
			err = &fs.PathError{Op: "lstat", Path: temp, Err: err}
		}
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	s.dev, s.ino = uint64(st.Dev), st.Ino
	s.file = os.NewFile(uintptr(fd), s.path)
	return nil
}

// bindMode binds fd to path. The file is never open to more than mode lets in:
// bind makes it with the mode of the unbound socket, less the umask, which gives
// the owner alone access; only when it belongs to the right user and group are
// others let in.
func bindMode(fd int, path string, mode fs.FileMode, uid, gid int) error {
	if err := unix.Fchmod(fd, uint32(mode&0o700)); err != nil {
		return os.NewSyscallError("fchmod", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return &os.PathError{Op: "bind", Path: path, Err: err}
	}
	var err error
	if uid >= 0 || gid >= 0 {
		err = os.Lchown(path, uid, gid)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// takeOver removes the socket at path if nobody listens to it.
func takeOver(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and no socket: %w", path, fs.ErrExist)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err {
	case unix.ECONNREFUSED:
		return removeSocket(path)
	case unix.ENOENT:
		return nil
	case nil, unix.EAGAIN, unix.EINPROGRESS: // EAGAIN: so many wait that its queue is full
		return fmt.Errorf("%w: it answers at %s", ErrInUse, path)
	default:
		return fmt.Errorf("whether a switch answers at %s cannot be told: %w", path, err)
	}
}

// removeSocket removes the socket at path, if there is one, and nothing else.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and no socket: %w", path, fs.ErrExist)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// remove closes the control sockets and removes what Listen made.
func (d *controlDir) remove() error {
	var errs []error
	for _, s := range d.sockets {
		// Its name first: a client that still finds it would wait in a queue.
		var st unix.Stat_t
		if unix.Lstat(s.path, &st) == nil && uint64(st.Dev) == s.dev && st.Ino == s.ino {
			errs = append(errs, os.Remove(s.path))
		}
		s.file.Close()
	}
	return errors.Join(errs...)
}

// removeDir removes the directory if Listen made it, when nothing is in it any
// more.
func (d *controlDir) removeDir() error {
	if !d.made {
		return nil
	}
	err := os.Remove(d.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil // files of others stay
	}
	return err
}

// bindData binds fd, the data socket of e, which has its port and number, and
// returns the path.
func (d *controlDir) bindData(fd int, e *endpoint) (string, error) {
	path := fmt.Sprintf("%s/%03d.%d", d.path, e.port.num, e.info.ID)
	if len(path) > wire.MaxPathLen {
		// No longer than "ctl", which fits, and the same again only after so
		// many endpoints that the client of the earlier one has long connected.
		path = d.path + "/" + strconv.FormatUint(e.info.ID%(36*36*36), 36)
	}
	// The name can only be a dead switch's: ours are unique.
	if err := removeSocket(path); err != nil {
		return "", err
	}
	mode, uid := d.mode, -1
	if os.Geteuid() == 0 && e.info.UID != 0 {
		mode, uid = mode&0o700, int(e.info.UID)
	}
	if err := bindMode(fd, path, mode, uid, d.gid); err != nil {
		return "", err
	}
	return path, nil
}
