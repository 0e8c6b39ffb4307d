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
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/account"
	"github.com/go-vde/sdk/internal/sockfile"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// A dataSocket is our data socket while it has a name.
type dataSocket struct {
	fd   int // -1 once it was handed on or closed
	path string
	dir  *sockfile.Dir  // that the name is in; nil if there is none
	file *sockfile.File // nil if there is none
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
	transport.RefuseDescriptors(fd)
	d := &dataSocket{fd: fd}
	defer func() {
		if err != nil {
			d.unlink()
			d.close()
		}
	}()
	if err := d.bind(dir, mode); err != nil {
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
// something else in the file's place at any time. So only the file is changed that
// the socket is bound to, whatever its name leads to; see package sockfile.
func (d *dataSocket) admit(mode fs.FileMode, gid int, ctl string) error {
	const step = "set the permissions of the data socket"
	if err := d.file.Check(); err != nil {
		return &joinError{step: step, path: d.path, kind: ErrDataDenied, err: sockfile.ErrReplaced, remedy: "somebody interferes in that directory"}
	}
	chown := func(gid int) error { return d.file.Chown(-1, gid) }
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
	if err := d.file.Chmod(mode); err != nil {
		return &joinError{step: step, path: d.path, err: err}
	}
	d.fileChanged()
	return nil
}

// bind names the socket as libvdeplug does: in dir, else in the first of the
// system's places that allows it. Where dir is so long that only the control
// socket's own name fits, shorter names are used.
func (d *dataSocket) bind(dir string, mode fs.FileMode) error {
	pid := os.Getpid()
	long := func(i int) string { return fmt.Sprintf(".%05d-%05d", pid, i) }
	short := func(i int) string { return "." + strconv.FormatUint(uint64(i), 36) }
	name, names := long, 100_000
	if len(dir+"/"+long(0)) > wire.MaxPathLen {
		name, names = short, 36*36
	}
	err := d.bindFirst(dir, mode, name, names)
	if is(err, syscall.ENAMETOOLONG) {
		return &joinError{step: "name the data socket in", path: dir, kind: ErrPathTooLong, err: err, remedy: "use a shorter directory"}
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, sockfile.ErrReplaced) {
		return &joinError{step: "make the data socket in", path: dir, kind: ErrDataDenied, err: sockfile.ErrReplaced, remedy: "somebody interferes in that directory"}
	}
	for _, place := range []string{"/var/run", "/var/tmp", "/tmp"} {
		if place, err := filepath.EvalSymlinks(place); err == nil && d.bindFirst(place, mode, func(i int) string { return fmt.Sprintf("vde.%05d-%05d", pid, i) }, 100_000) == nil {
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

// lastName is the number of the name that was tried last.
var lastName atomic.Uint32

// bindFirst binds to the next of so many names in the directory at path that is not
// in use. It begins after the name tried last: many sockets of this process may have
// names at a time, and to try all of those each time would take the longer the more
// there are.
func (d *dataSocket) bindFirst(path string, mode fs.FileMode, name func(i int) string, names int) error {
	dir, err := sockfile.OpenDir(path)
	if err != nil {
		return err
	}
	for range names {
		n := name(int((lastName.Add(1) - 1) % uint32(names)))
		if len(path+"/"+n) > wire.MaxPathLen {
			err = os.NewSyscallError("bind", unix.ENAMETOOLONG)
			break
		}
		if d.file, err = dir.Bind(d.fd, n, mode); err == nil {
			d.dir, d.path = dir, d.file.Path()
			d.fileChanged()
			return nil
		}
		if !is(err, unix.EADDRINUSE) {
			break
		}
	}
	dir.Close()
	return err
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
	if d.file == nil {
		return
	}
	_ = d.file.Remove() // gone already is as good
	d.file.Close()
	d.dir.Close()
	d.dir, d.file = nil, nil
}

func (d *dataSocket) close() {
	if d.fd >= 0 {
		transport.CloseSocket(d.fd)
		d.fd = -1
	}
}
