// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/wire"
)

// A dataSocket is our data socket while it has a name.
type dataSocket struct {
	fd   int // -1 once it was handed on or closed
	path string
}

// groupID returns the number of a group given by name or in decimal.
func groupID(name string) (int, error) {
	gid, err := account.GroupID(name)
	if err != nil {
		return 0, &joinError{step: "look up group", path: strconv.Quote(name), err: err, remedy: "give the name or number of a group of this system"}
	}
	return gid, nil
}

// bindData makes the data socket with a name in dir, or where dir is not
// writable in one of the system's places, and admits those that mode, gid and the
// reverse channel rule admit (docs/spec/vde-protocol.md, section 6).
func bindData(dir string, mode fs.FileMode, gid int, ctl string) (_ *dataSocket, err error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, &joinError{step: "make the data socket", err: os.NewSyscallError("socket", err)}
	}
	d := &dataSocket{fd: fd}
	defer func() {
		if err != nil {
			d.unlink()
			d.close()
		}
	}()
	// On Linux bind gives the file the mode of the unbound socket less the
	// umask: it is never open to more than the owner until told otherwise.
	if err := unix.Fchmod(fd, uint32(mode&0o700)); err != nil {
		return nil, &joinError{step: "narrow the data socket's permissions", err: os.NewSyscallError("fchmod", err)}
	}
	if err := d.bind(dir); err != nil {
		return nil, err
	}
	if err := d.admit(mode, gid, ctl); err != nil {
		return nil, err
	}
	return d, nil
}

// testHookDataFile, if not nil, is called after each change of the data socket's
// file, so that a test can look at its permissions at every moment they last.
var testHookDataFile func(path string)

func (d *dataSocket) fileChanged() {
	if testHookDataFile != nil {
		testHookDataFile(d.path)
	}
}

// admit sets the file's group and its final mode. The switch has to be able to
// write to it; where neither gid nor mode were meant to let others in and the
// switch is another user's, its group is let in, or everybody if this process
// may not give the file to that group. Once connected, the socket takes nothing
// from anybody else anyway.
//
// The owner of the directory, which a client run by root need not trust, can put
// something else in the file's place at any time. So the name is looked up once,
// and what it leads to is checked before it is changed.
func (d *dataSocket) admit(mode fs.FileMode, gid int, ctl string) error {
	const step = "set the permissions of the data socket"
	file, err := unix.Open(d.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &joinError{step: step, path: d.path, err: os.NewSyscallError("open", err)}
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return &joinError{step: step, path: d.path, err: os.NewSyscallError("fstat", err)}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Nlink != 1 || int(st.Uid) != os.Geteuid() {
		return &joinError{step: step, path: d.path, kind: ErrDataDenied, err: errors.New("its name leads to something else"), remedy: "somebody interferes in that directory"}
	}
	chown := func(gid int) error {
		return os.NewSyscallError("chown", unix.Fchownat(file, "", -1, gid, unix.AT_EMPTY_PATH))
	}
	var sw unix.Stat_t
	switch {
	case gid != account.NoGroup:
		if err := chown(gid); err != nil {
			return &joinError{step: fmt.Sprintf("give group %d the data socket", gid), path: d.path, err: err, remedy: "only its members and root may do that"}
		}
	case mode&0o077 != 0 || unix.Stat(ctl, &sw) != nil || sw.Uid == 0 || int(sw.Uid) == os.Geteuid():
	case chown(int(sw.Gid)) == nil:
		mode |= 0o070
	default:
		mode |= 0o077
	}
	d.fileChanged()
	if err := chmodPath(file, mode); err != nil {
		return &joinError{step: step, path: d.path, err: os.NewSyscallError("chmod", err)}
	}
	d.fileChanged()
	return nil
}

// chmodPath is fchmod for a descriptor opened with O_PATH, which fchmod refuses.
// The call made for it came with Linux 6.6, so the file's name below /proc is tried
// first; the call serves where /proc is not mounted.
func chmodPath(fd int, mode fs.FileMode) error {
	err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), uint32(mode))
	if err == unix.ENOENT {
		err = unix.Fchmodat(fd, "", uint32(mode), unix.AT_EMPTY_PATH)
	}
	return err
}

// bind names the socket as libvdeplug does: in dir, else in the first of the
// system's places that allows it. Where dir is so long that only the control
// socket's own name fits, shorter names are used.
func (d *dataSocket) bind(dir string) error {
	pid := os.Getpid()
	long := func(i int) string { return fmt.Sprintf("%s/.%05d-%05d", dir, pid, i) }
	short := func(i int) string { return dir + "/." + strconv.FormatUint(uint64(i), 36) }
	name, names := long, 100_000
	if len(long(0)) > wire.MaxPathLen {
		name, names = short, 36*36
	}
	err := d.bindFirst(name, names)
	if is(err, syscall.ENAMETOOLONG) {
		return &joinError{step: "name the data socket in", path: dir, kind: ErrPathTooLong, err: err, remedy: "use a shorter directory"}
	}
	if err == nil {
		return nil
	}
	for _, place := range []string{"/var/run", "/var/tmp", "/tmp"} {
		if d.bindFirst(func(i int) string { return fmt.Sprintf("%s/vde.%05d-%05d", place, pid, i) }, 100_000) == nil {
			return nil
		}
	}
	e := &joinError{step: "make the data socket in", path: dir, err: err}
	if is(err, syscall.EACCES, syscall.EPERM, syscall.EROFS) {
		e.kind = ErrDataDenied
		e.remedy = "write permission is needed there, or in /var/run, /var/tmp or /tmp"
	}
	return e
}

// bindFirst binds to the first of so many names that is not in use.
func (d *dataSocket) bindFirst(name func(i int) string, names int) error {
	for i := range names {
		path := name(i)
		if len(path) > wire.MaxPathLen {
			return os.NewSyscallError("bind", unix.ENAMETOOLONG)
		}
		err := unix.Bind(d.fd, &unix.SockaddrUnix{Name: path})
		if err == nil {
			d.path = path
			d.fileChanged()
			return nil
		}
		if err != unix.EADDRINUSE {
			return os.NewSyscallError("bind", err)
		}
	}
	return os.NewSyscallError("bind", unix.EADDRINUSE)
}

// connect connects to the switch's data socket. The name is as the switch sees
// it; where dir is mounted elsewhere for us, its last element is in our dir.
func (d *dataSocket) connect(peer, dir string) error {
	// Package syscall's, because x/sys takes no abstract name of all 108 bytes.
	err := ignoringEINTR(func() error { return syscall.Connect(d.fd, &syscall.SockaddrUnix{Name: peer}) })
	if is(err, unix.ENOENT, unix.ENOTDIR) {
		if here := filepath.Join(dir, filepath.Base(peer)); here != peer {
			err = ignoringEINTR(func() error { return unix.Connect(d.fd, &unix.SockaddrUnix{Name: here}) })
		}
	}
	if err == nil {
		return nil
	}
	e := &joinError{step: "connect to the switch's data socket", path: shortName(peer), err: os.NewSyscallError("connect", err)}
	switch {
	case is(err, unix.EACCES, unix.EPERM):
		e.kind = ErrDataDenied
		e.remedy = "ask the owner of the switch for access: its mode (-m) and group (-g)"
	case is(err, unix.ENOENT), is(err, unix.ECONNREFUSED) && !notSocket(peer):
		e.kind = ErrNoSwitch
		e.remedy = "the switch went away while it was being joined"
	case is(err, unix.ECONNREFUSED, unix.EPROTOTYPE, unix.ENOTSOCK, unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.EINVAL):
		e.kind = ErrNotSwitch
		e.remedy = "the reply does not name a data socket"
	}
	return e
}

// shortName returns a socket's name without the NULs that pad an abstract one.
func shortName(name string) string { return strings.TrimRight(name, "\x00") }

// takeQueued empties the queue as far as it was filled before the socket was
// connected, when any process that the file's mode admits could send to it. What the
// switch's own socket sent is returned; the rest is counted and discarded. After
// connecting, the kernel refuses everybody but the switch.
func (d *dataSocket) takeQueued(peer string, maxFrame int) (queued [][]byte, foreign int, err error) {
	buf := make([]byte, maxFrame+1)
	for {
		n, from, err := unix.Recvfrom(d.fd, buf, unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return queued, foreign, nil
		case err != nil:
			return nil, 0, &joinError{step: "empty the data socket's queue", path: d.path, err: os.NewSyscallError("recvfrom", err)}
		}
		if sa, ok := from.(*unix.SockaddrUnix); !ok || shortName(sa.Name) != shortName(peer) {
			foreign++
			continue
		}
		queued = append(queued, append([]byte(nil), buf[:n]...))
		if len(queued) >= maxQueued {
			return queued, foreign, nil
		}
	}
}

// maxQueued bounds what takeQueued copies from a switch that sends all the time:
// no more than this many can have come before connecting unless the system's
// net.unix.max_dgram_qlen was raised from 10 beyond it.
const maxQueued = 4096

// socket hands the descriptor on.
func (d *dataSocket) socket(headers bool) (*sockio.Socket, error) {
	fd := d.fd
	d.fd = -1
	return sockio.New(fd, d.path, headers)
}

// unlink removes the socket's name, if it has one.
func (d *dataSocket) unlink() {
	if d.path != "" {
		_ = unix.Unlink(d.path) // gone already is as good
	}
}

func (d *dataSocket) close() {
	if d.fd >= 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}
