// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrReplaced is returned when the name of a socket leads to something else.
var ErrReplaced = errors.New("its name leads to something else")

// ErrAlive is returned by [Dir.RemoveDead] for a socket that a program has bound.
var ErrAlive = errors.New("a program answers")

// A Dir is an open directory.
type Dir struct {
	fd   int // opened with O_PATH
	path string
}

// OpenDir opens the directory at path, an absolute path without symbolic links.
func OpenDir(path string) (*Dir, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_SYMLINKS})
	if err == unix.ENOSYS || err == unix.EPERM { // before Linux 5.6, or filtered
		fd, err = unix.Open(path, flags, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &Dir{fd, path}, nil
}

// Path returns the path that d was opened with.
func (d *Dir) Path() string { return d.path }

// Close closes d. Files that were found in it can no longer be removed.
func (d *Dir) Close() { unix.Close(d.fd) }

// Chown sets the group of the directory.
func (d *Dir) Chown(gid int) error {
	return pathError("chown", d.path, unix.Fchownat(d.fd, "", -1, gid, unix.AT_EMPTY_PATH))
}

// Chmod sets the mode of the directory.
func (d *Dir) Chmod(mode fs.FileMode) error { return pathError("chmod", d.path, chmod(d.fd, mode)) }

// Owner returns the owner of the directory.
func (d *Dir) Owner() (uid uint32, err error) {
	st, err := stat(d.fd, d.path)
	return st.Uid, err
}

// Same reports whether the directory at path is d.
func (d *Dir) Same(path string) bool {
	var here, there unix.Stat_t
	return unix.Fstat(d.fd, &here) == nil && unix.Lstat(path, &there) == nil && idOf(&here) == idOf(&there)
}

// OpenFile opens the file called name in d. It never follows a symbolic link.
func (d *Dir) OpenFile(name string, flags int, mode uint32) (fd int, err error) {
	fd, err = unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	return fd, pathError("open", d.path+"/"+name, err)
}

// A fileID tells files apart, as long as they exist.
type fileID struct{ dev, ino uint64 }

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino} }

// Has reports whether name in d is that of the file open as fd.
func (d *Dir) Has(name string, fd int) bool {
	st, err := stat(fd, name)
	return err == nil && d.has(name, idOf(&st))
}

// Remove removes the name, if it is that of the file open as fd.
func (d *Dir) Remove(name string, fd int) error {
	st, err := stat(fd, d.path+"/"+name)
	if err != nil {
		return err
	}
	return d.remove(name, idOf(&st))
}

// remove removes the name, if it is that of the file id. If somebody exchanges it
// in between, what is removed is a name in the same directory, which that somebody
// could remove.
func (d *Dir) remove(name string, id fileID) error {
	if !d.has(name, id) {
		return nil
	}
	err := unix.Unlinkat(d.fd, name, 0)
	if err == unix.ENOENT {
		return nil
	}
	return pathError("remove", d.path+"/"+name, err)
}

// has reports whether name in d is that of the file id.
func (d *Dir) has(name string, id fileID) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && idOf(&st) == id
}

// Bind binds sock to name in d and returns the file. An unbound socket has a mode,
// and the file gets the bits of it that are also in mode and belong to the owner:
// nobody else is let in before Chmod.
//
// EADDRINUSE means that there is something of that name.
func (d *Dir) Bind(sock int, name string, mode fs.FileMode) (*File, error) {
	if err := unix.Fchmod(sock, uint32(mode&0o700)); err != nil {
		return nil, os.NewSyscallError("fchmod", err)
	}
	path := d.path + "/" + name
	// By its path and not by way of d's descriptor, because this is the name that
	// other processes see as the sender's. Whether it was made in d is checked below.
	if err := unix.Bind(sock, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, pathError("bind", path, err)
	}
	f := &File{dir: d, name: name, fd: -1}
	err := f.open(sock)
	if err == nil && !d.has(name, f.id) {
		err = ErrReplaced
	}
	if err != nil {
		var st unix.Stat_t
		if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && ownSocket(&st) {
			_ = d.remove(name, idOf(&st)) // there may be no descriptor left to open it
		}
		f.Close()
		return nil, pathError("bind", path, err)
	}
	return f, nil
}

// ownSocket reports whether st is that of a socket of this process's user that has
// one name.
func ownSocket(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFSOCK && st.Nlink == 1 && int(st.Uid) == os.Geteuid()
}

// Lookup returns the socket called name in d. What is no socket is an error that
// matches [fs.ErrExist].
func (d *Dir) Lookup(name string) (*File, error) {
	f := &File{dir: d, name: name, fd: -1}
	st, err := f.lookup()
	switch {
	case err != nil:
		return nil, pathError("open", d.path+"/"+name, err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		f.Close()
		return nil, fmt.Errorf("%s is there and no socket: %w", d.path+"/"+name, fs.ErrExist)
	}
	return f, nil
}

// A File is the file of a socket, and a name of it in a directory.
type File struct {
	dir  *Dir
	name string
	id   fileID
	fd   int // opened with O_PATH; -1 when closed
}

// siocUnixFile is SIOCUNIXFILE of linux/un.h, which opens the file that a socket is
// bound to.
const siocUnixFile = 0x89e0

// noIoctl has tests see what is done where the request is refused.
var noIoctl = false

// open opens the file that sock is bound to. The kernel can be asked for it, but
// only with CAP_NET_ADMIN. Otherwise the name is looked up, and must lead to a
// socket of this process's user with no other name. Somebody who may rename files
// in the directory could put there another socket of that user, but nothing else.
func (f *File) open(sock int) error {
	if !noIoctl {
		if fd, err := unix.IoctlRetInt(sock, siocUnixFile); err == nil {
			f.fd = fd
			st, err := stat(fd, f.name)
			f.id = idOf(&st)
			return err
		}
	}
	st, err := f.lookup()
	if err == unix.ENOENT || err == nil && !ownSocket(&st) {
		return ErrReplaced
	}
	return err
}

// lookup opens what is called so.
func (f *File) lookup() (st unix.Stat_t, err error) {
	if f.fd, err = unix.Openat(f.dir.fd, f.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		f.fd = -1
		return st, err
	}
	st, err = stat(f.fd, f.name)
	f.id = idOf(&st)
	return st, err
}

// Path returns the path of the file.
func (f *File) Path() string { return f.dir.path + "/" + f.name }

// Chown sets the user and the group of the file; -1 leaves one as it is.
func (f *File) Chown(uid, gid int) error {
	return pathError("chown", f.Path(), unix.Fchownat(f.fd, "", uid, gid, unix.AT_EMPTY_PATH))
}

// Chmod sets the mode of the file.
func (f *File) Chmod(mode fs.FileMode) error { return pathError("chmod", f.Path(), chmod(f.fd, mode)) }

// Link gives the file a second name in its directory and returns it. If there is
// something of that name, the error matches [fs.ErrExist].
func (f *File) Link(name string) (*File, error) {
	err := unix.Linkat(unix.AT_FDCWD, procName(f.fd), f.dir.fd, name, unix.AT_SYMLINK_FOLLOW)
	if err == unix.ENOENT && !hasProc(f.fd) {
		// By its name. If that has been exchanged, this is undone.
		if err = unix.Linkat(f.dir.fd, f.name, f.dir.fd, name, 0); err == nil && !f.dir.has(name, f.id) {
			err = unix.Unlinkat(f.dir.fd, name, 0)
			if err == nil {
				err = ErrReplaced
			}
		}
	}
	if err != nil {
		return nil, pathError("link", f.dir.path+"/"+name, err)
	}
	return &File{dir: f.dir, name: name, id: f.id, fd: -1}, nil
}

// Address returns a name to connect to that leads to the file whatever its path
// leads to, as long as f is not closed.
func (f *File) Address() string {
	if !hasProc(f.fd) {
		return f.Path()
	}
	return procName(f.fd)
}

// Dead reports whether no socket is bound to the file: what bound it is gone. kind
// is that of the socket to ask with; a bound one of another kind is not dead.
func (f *File) Dead(kind int) (bool, error) {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: f.Address()}); err {
	case unix.ECONNREFUSED:
		return true, nil
	case nil, unix.EAGAIN, unix.EINPROGRESS: // EAGAIN: so many wait that its queue is full
		return false, nil
	case unix.ENOENT: // removed meanwhile, where there is no /proc
		return true, nil
	default:
		return false, pathError("connect", f.Path(), err)
	}
}

// RemoveDead removes the socket called name from d if it is dead, as [File.Dead] says of
// one of the given kind. It does nothing if there is no such name. An error that matches
// [ErrAlive] says that a socket is bound to it, others that this cannot be told.
func (d *Dir) RemoveDead(name string, kind int) error {
	f, err := d.Lookup(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	switch dead, err := f.Dead(kind); {
	case err != nil:
		return fmt.Errorf("whether a program answers at %s cannot be told: %w", f.Path(), err)
	case !dead:
		return fmt.Errorf("%w at %s", ErrAlive, f.Path())
	}
	return f.Remove()
}

// Check returns [ErrReplaced] if the name is no longer that of the file.
func (f *File) Check() error {
	if !f.dir.has(f.name, f.id) {
		return pathError("check", f.Path(), ErrReplaced)
	}
	return nil
}

// Remove removes the name, if it still is that of the file. It can be called after
// Close.
func (f *File) Remove() error { return f.dir.remove(f.name, f.id) }

// Close closes f, which can still be removed.
func (f *File) Close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// OpenSocket opens the socket at path, which is somebody else's and whose last
// element must not be a symbolic link, and returns its owner.
func OpenSocket(path string) (f *File, uid uint32, err error) {
	f = &File{dir: &Dir{fd: unix.AT_FDCWD}, name: path, fd: -1}
	st, err := f.lookup()
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		err = unix.ENOTSOCK
	}
	if err != nil {
		f.Close()
		return nil, 0, pathError("open", path, err)
	}
	return f, st.Uid, nil
}

// chmod is fchmod for a descriptor opened with O_PATH, which fchmod refuses. The
// call made for it came with Linux 6.6, so the file's name below /proc is tried
// first; the call serves where /proc is not mounted.
func chmod(fd int, mode fs.FileMode) error {
	bits := uint32(mode.Perm())
	for bit, set := range map[fs.FileMode]uint32{fs.ModeSetgid: unix.S_ISGID, fs.ModeSticky: unix.S_ISVTX} {
		if mode&bit != 0 {
			bits |= set
		}
	}
	err := unix.Chmod(procName(fd), bits)
	if err == unix.ENOENT {
		err = unix.Fchmodat(fd, "", bits, unix.AT_EMPTY_PATH)
	}
	return err
}

func procName(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func hasProc(fd int) bool {
	return unix.Faccessat(unix.AT_FDCWD, procName(fd), unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil
}

func stat(fd int, path string) (st unix.Stat_t, err error) {
	return st, pathError("stat", path, unix.Fstat(fd, &st))
}

// pathError returns nil for nil.
func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}
