// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// What the file system shows of the data socket at the moment of the request.
func TestOpenDataSocket(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name     string
		params   string
		opts     []vde.Option
		ctlOwner int // a switch of this user and group
		mode     fs.FileMode
		gid      int
	}{
		{name: "default", mode: 0o700},
		{name: "mode in the VNL", params: "[mode=0770]", mode: 0o770},
		{name: "mode 0 in the VNL", params: "[mode=0]", mode: 0o700},
		{name: "WithSocketMode", opts: []vde.Option{vde.WithSocketMode(0o640)}, mode: 0o640},
		{name: "WithSocketMode 0", opts: []vde.Option{vde.WithSocketMode(0)}, mode: 0o700},
		{name: "WithSocketMode, then 0", opts: []vde.Option{vde.WithSocketMode(0o777), vde.WithSocketMode(0)}, mode: 0o700},
		{name: "the VNL's mode wins", params: "[mode=750]", opts: []vde.Option{vde.WithSocketMode(0o777)}, mode: 0o750},
		{name: "group in the VNL", params: "[group=daemon/mode=0770]", mode: 0o770, gid: 1},
		{name: "group by number", params: "[group=4711]", mode: 0o700, gid: 4711},
		{name: "WithSocketGroup", opts: []vde.Option{vde.WithSocketGroup("daemon")}, mode: 0o700, gid: 1},
		{name: "the VNL's group wins", params: "[group=4711]", opts: []vde.Option{vde.WithSocketGroup("daemon")}, mode: 0o700, gid: 4711},

		// The reverse channel: somebody else's switch must be able to write here.
		{name: "another user's switch", ctlOwner: 1, mode: 0o770, gid: 1},
		{name: "another user's switch, owner only", ctlOwner: 1, opts: []vde.Option{vde.WithSocketMode(0o600)}, mode: 0o670, gid: 1},
		{name: "another user's switch, but the mode lets others in", ctlOwner: 1, opts: []vde.Option{vde.WithSocketMode(0o770)}, mode: 0o770},
		{name: "another user's switch, but a group is given", ctlOwner: 1, opts: []vde.Option{vde.WithSocketGroup("4711")}, mode: 0o700, gid: 4711},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, umask := range []int{0, 0o022, 0o777} {
				sw := testutil.NewFakeSwitch(t)
				if err := os.Chown(filepath.Join(sw.Dir(), "ctl"), tt.ctlOwner, tt.ctlOwner); err != nil {
					t.Fatal(err)
				}
				old := syscall.Umask(umask)
				c, err := vde.Open(conntest.Watchdog(t), sw.VNL()+tt.params, tt.opts...)
				syscall.Umask(old)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				r := requestOf(t, sw)
				if want := tt.mode | fs.ModeSocket; r.PathErr != nil || r.PathMode != want || r.PathUID != 0 || r.PathGID != tt.gid {
					t.Errorf("umask %03o: %v of %d:%d, %v; want %v of 0:%d", umask, r.PathMode, r.PathUID, r.PathGID, r.PathErr, want, tt.gid)
				}
				noStrays(t, sw)
			}
		})
	}
}

// The file is looked at whenever something has been done to it: from its
// creation on it must never be open to more than was asked for, under any umask.
func TestOpenDataSocketIsNeverWider(t *testing.T) {
	needRoot(t)
	for _, mode := range []fs.FileMode{0o700, 0o600, 0o770, 0o777, 0o070, 0o604} {
		for _, group := range []string{"", "4711"} {
			t.Run(fmt.Sprintf("%03o%s", mode, group), func(t *testing.T) {
				sw := testutil.NewFakeSwitch(t)
				changes := 0
				defer vdeplug.SetDataFileHook(func(path string) {
					changes++
					var st unix.Stat_t
					if err := unix.Lstat(path, &st); err != nil {
						t.Error(err)
						return
					}
					is := fs.FileMode(st.Mode & 0o7777)
					if is&^mode != 0 {
						t.Errorf("change %d: mode %03o where %03o was asked for", changes, is, mode)
					}
					if is&0o070 != 0 && group != "" && st.Gid != 4711 {
						t.Errorf("change %d: mode %03o for group %d", changes, is, st.Gid)
					}
				})()
				defer syscall.Umask(syscall.Umask(0))
				conntest.Open(t, sw.VNL(), vde.WithSocketMode(mode), vde.WithSocketGroup(group))
				if r := requestOf(t, sw); r.PathMode.Perm() != mode || changes < 2 {
					t.Errorf("mode %v in the end, after %d changes", r.PathMode, changes)
				}
			})
		}
	}
}

// Whoever owns the switch's directory can put something else in the place of the
// data socket. A client must not lend its power to that.
func TestOpenDataSocketReplaced(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name    string
		replace func(path, victim string) error
	}{
		{"link to a file", func(path, victim string) error { return os.Symlink(victim, path) }},
		{"link to a socket", func(path, victim string) error {
			return errors.Join(os.Remove(victim), listenGram(victim), os.Symlink(victim, path))
		}},
		{"second name of a socket", func(path, victim string) error {
			return errors.Join(os.Remove(victim), listenGram(victim), os.Link(victim, path))
		}},
		{"second name of a file", func(path, victim string) error { return os.Link(victim, path) }},
		{"another user's socket", func(path, victim string) error {
			return errors.Join(os.Remove(victim), listenGram(victim), os.Chown(victim, 1, 1), os.Rename(victim, path), os.WriteFile(victim, nil, 0o600))
		}},
		{"nothing", func(path, victim string) error { return nil }},
	} {
		for change := 1; change <= 2; change++ {
			t.Run(fmt.Sprintf("%s after change %d", tt.name, change), func(t *testing.T) {
				testutil.NoLeaks(t)
				sw := testutil.NewFakeSwitch(t)
				// Another user's switch, whose group is to be let in.
				if err := os.Chown(filepath.Join(sw.Dir(), "ctl"), 1, 1); err != nil {
					t.Fatal(err)
				}
				err := openReplaced(t, sw, change, tt.replace)
				if change == 1 && tt.name != "nothing" {
					checkOpenError(t, sw.VNL(), err, vde.ErrDataDenied, "set the permissions of the data socket", sw.Dir()+"/.", "somebody interferes")
				}
				// It is not the client's to remove, either.
				strays, err := sw.Strays()
				if err != nil || len(strays) != 1 && tt.name != "nothing" {
					t.Errorf("in the directory: %q, %v; want what was put there", strays, err)
				}
				for _, name := range strays {
					os.Remove(filepath.Join(sw.Dir(), name))
				}
				noStrays(t, sw)
			})
		}
	}
}

// openReplaced fails to join sw while replace, at the given one of the changes that the
// client makes to the file of its data socket, puts something in its place. The victim
// that it uses stays as it is. openReplaced returns the error of Open.
func openReplaced(t *testing.T, sw *testutil.FakeSwitch, change int, replace func(path, victim string) error) error {
	t.Helper()
	victim := filepath.Join(testutil.ShortDir(t), "victim")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var before unix.Stat_t
	changes := 0
	defer vdeplug.SetDataFileHook(func(path string) {
		if changes++; changes == change {
			if err := errors.Join(os.Remove(path), replace(path, victim), unix.Stat(victim, &before)); err != nil {
				t.Error(err)
			}
		}
	})()
	err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL())
	var after unix.Stat_t
	if err := unix.Stat(victim, &after); err != nil {
		t.Fatal(err)
	}
	if after.Mode != before.Mode || after.Uid != before.Uid || after.Gid != before.Gid {
		t.Errorf("what was put there became %o %d:%d, was %o %d:%d", after.Mode, after.Uid, after.Gid, before.Mode, before.Uid, before.Gid)
	}
	return err
}

// listenGram leaves a datagram socket at path.
func listenGram(path string) error {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, 0o600), c.Close())
}

// Names in use are passed over, whoever uses them.
func TestOpenNamesInUse(t *testing.T) {
	sw := testutil.NewFakeSwitch(t)
	for i := range 3 {
		staleSocket(t, fmt.Sprintf("%s/.%05d-%05d", sw.Dir(), os.Getpid(), i))
	}
	vdeplug.ResetNames()
	conntest.Open(t, sw.VNL())
	if r := requestOf(t, sw); r.Path != fmt.Sprintf("%s/.%05d-%05d", sw.Dir(), os.Getpid(), 3) {
		t.Errorf("data socket %s", r.Path)
	}
	if names, err := sw.Strays(); err != nil || len(names) != 3 {
		t.Errorf("in the directory: %q, %v; want the three that were there", names, err)
	}
}

func TestOpenWriteBuffer(t *testing.T) {
	size := func(opts ...vde.Option) (n int) {
		c, _ := conntest.Join(t, opts...)
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if e := raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		return n
	}
	system := size()
	if n := size(vde.WithWriteBuffer(50_000)); n != 100_000 { // Linux doubles it
		t.Errorf("the kernel's send buffer is %d", n)
	}
	if n := size(vde.WithWriteBuffer(50_000), vde.WithWriteBuffer(0)); n != system {
		t.Errorf("the kernel's send buffer is %d, its default %d", n, system)
	}
}

// libvdeplug gives the file that the reply names the client's own mode. A switch
// can name any file: Open leaves it as it is.
func TestOpenNeverTouchesTheSwitchsSocket(t *testing.T) {
	sw := testutil.NewFakeSwitch(t)
	c := conntest.Open(t, sw.VNL(), vde.WithSocketMode(0o777))
	client := conntest.Next(t, sw)
	conntest.Works(t, c, client)
	if fi, err := os.Stat(client.DataPath()); err != nil || fi.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the switch's socket is %v, %v", fi.Mode(), err)
	}

	// Not even when the path leads astray.
	victim := writeFile(t, "victim", "")
	astray := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.WriteCtl(testutil.FakeSockaddr(1, victim))
	})
	checkOpenError(t, astray.VNL(), conntest.FailsToOpen(t, conntest.Watchdog(t), astray.VNL(), vde.WithSocketMode(0o777)), vde.ErrNotSwitch)
	if fi, err := os.Stat(victim); err != nil || fi.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", fi.Mode(), err)
	}
}
