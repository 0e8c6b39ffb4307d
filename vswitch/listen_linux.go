// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/wire"
)

// A Listener answers the VDE control protocol in one directory.
type Listener struct {
	sw      *Switch
	dir     string // absolute, without symbolic links: replies name sockets in it
	made    bool   // the directory was made by Listen
	sockets []*ctlSocket

	mode, dirMode fs.FileMode // of sockets and directory
	gid           int         // of both; -1 to leave it

	mu       sync.Mutex
	started  bool                      // guarded by mu
	pending  []*pendingConn            // guarded by mu; connections without a request yet, the oldest first
	asking   []*pendingConn            // guarded by mu; whose requests have come and have not been answered
	accepted uint64                    // guarded by mu; connections so far
	cables   map[*socketCable]struct{} // guarded by mu
	cause    error                     // guarded by mu; why it ended, nil before
	running  sync.WaitGroup            // added to with mu held and cause nil

	ending chan struct{} // closed when it begins to end
	done   chan struct{} // closed when it has ended
}

// A ctlSocket is a listening control socket.
type ctlSocket struct {
	l        *net.UnixListener
	path     string
	group    string // its port group; empty for ctl
	dev, ino uint64 // of the file, to recognize it
}

// Listen makes the control directory dir, if it is not there, and in it the
// control socket and those of the port groups. Clients that connect from then on
// wait until [Listener.Serve] is called.
//
// A control socket that a switch left behind is replaced; one at which somebody
// answers makes Listen fail with [ErrInUse]. The new socket appears under its
// name only when it answers, so two switches that start at the same time do not
// take each other for dead.
func (sw *Switch) Listen(dir string) (*Listener, error) {
	l, err := sw.listen(dir)
	if err != nil {
		return nil, fmt.Errorf("vswitch: serve %s: %w", dir, err)
	}
	return l, nil
}

func (sw *Switch) listen(dir string) (_ *Listener, err error) {
	sw.mu.Lock()
	err = sw.check()
	sw.mu.Unlock()
	if err != nil {
		return nil, err
	}
	l := &Listener{
		sw: sw, gid: -1,
		cables: make(map[*socketCable]struct{}), ending: make(chan struct{}), done: make(chan struct{}),
	}
	l.mode, l.dirMode = modes(sw.cfg.Mode, sw.cfg.DirMode)
	if sw.cfg.Group != "" {
		if l.gid, err = groupID(sw.cfg.Group); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			l.remove()
		}
	}()
	if err := l.makeDir(dir); err != nil {
		return nil, err
	}
	unlock, err := l.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := l.listenOn("ctl", ""); err != nil {
		return nil, err
	}
	for name := range sw.cfg.PortGroups {
		if err := l.listenOn(name, name); err != nil {
			return nil, err
		}
	}
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return nil, err
	}
	sw.listeners[l] = true
	return l, nil
}

// Dir returns the control directory, absolute and without symbolic links.
func (l *Listener) Dir() string { return l.dir }

// modes returns the modes of sockets and directory that those configured amount
// to (vde-protocol.md, section 15).
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

// makeDir makes the directory if necessary, sets its permissions and fills in
// l.dir.
func (l *Listener) makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	l.made = err == nil
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
	if l.dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	if limit := wire.MaxPathLen - len("/ctl"); len(l.dir) > limit {
		return fmt.Errorf("path of %d bytes, at most %d fit a socket address with what is added: %w", len(l.dir), limit, unix.ENAMETOOLONG)
	}
	if l.gid >= 0 {
		if err := os.Chown(l.dir, -1, l.gid); err != nil {
			return err
		}
	}
	cfg := &l.sw.cfg
	if l.made || cfg.Mode != 0 || cfg.DirMode != 0 {
		return os.Chmod(l.dir, l.dirMode)
	}
	return nil
}

// lock keeps other starting switches of this kind out of the directory: the
// moment between the finding that a socket is stale and its replacement must
// belong to one of them.
func (l *Listener) lock() (unlock func(), err error) {
	fd, err := unix.Open(l.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
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
func (l *Listener) listenOn(name, group string) error {
	path, temp := l.dir+"/"+name, l.dir+"/.ct"
	if len(path) > wire.MaxPathLen {
		return fmt.Errorf("socket %s: %w", path, unix.ENAMETOOLONG)
	}
	if err := removeSocket(temp); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := bindMode(fd, temp, l.mode, -1, l.gid); err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := unix.Listen(fd, 128); err != nil {
		return os.NewSyscallError("listen", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(temp, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: temp, Err: err}
	}
	listener, err := net.FileListener(f)
	if err != nil {
		return err
	}
	s := &ctlSocket{l: listener.(*net.UnixListener), path: path, group: group, dev: uint64(st.Dev), ino: st.Ino}
	for {
		err := os.Link(temp, path)
		if errors.Is(err, fs.ErrExist) {
			if err = takeOver(path); err == nil {
				continue
			}
		}
		if err != nil {
			s.l.Close()
			return err
		}
		l.sockets = append(l.sockets, s)
		return nil
	}
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
func (l *Listener) remove() error {
	var errs []error
	for _, s := range l.sockets {
		// Its name first: who still finds it shall not wait in a queue.
		var st unix.Stat_t
		if unix.Lstat(s.path, &st) == nil && uint64(st.Dev) == s.dev && st.Ino == s.ino {
			errs = append(errs, os.Remove(s.path))
		}
		s.l.Close()
	}
	return errors.Join(errs...)
}

// removeDir removes the directory if Listen made it, when nothing is in it any
// more.
func (l *Listener) removeDir() error {
	if !l.made {
		return nil
	}
	err := os.Remove(l.dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTEMPTY) {
		return nil // somebody else's files are not ours to remove
	}
	return err
}

// Close stops serving: Serve returns [net.ErrClosed], and all cables that were
// plugged in here are pulled.
func (l *Listener) Close() error { return l.end(net.ErrClosed) }

// end stops serving for the reason cause, and waits until everything has ended.
func (l *Listener) end(cause error) error {
	l.mu.Lock()
	if l.cause != nil {
		l.mu.Unlock()
		<-l.done
		return nil
	}
	l.cause = cause
	close(l.ending)
	pending := slices.Clone(l.pending)
	cables := make([]*socketCable, 0, len(l.cables))
	for c := range l.cables {
		cables = append(cables, c)
	}
	l.mu.Unlock()

	err := l.remove()
	for _, p := range pending {
		p.conn.Close()
	}
	for _, c := range cables {
		c.hangup(cause)
	}
	l.running.Wait()
	err = errors.Join(err, l.removeDir())
	l.sw.mu.Lock()
	delete(l.sw.listeners, l)
	l.sw.mu.Unlock()
	close(l.done)
	return err
}
