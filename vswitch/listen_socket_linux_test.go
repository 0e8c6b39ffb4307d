// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// listenSocket listens at path until the test ends.
func listenSocket(t *testing.T, path string, mode fs.FileMode) net.Listener {
	t.Helper()
	l, err := vswitch.ListenSocket(path, mode, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestListenSocket checks the mode of the socket, that it answers, that it is the only
// name left in the directory, and that it goes with its listener.
func TestListenSocket(t *testing.T) {
	dir := testutil.ShortDir(t)
	for _, mode := range []fs.FileMode{0, 0o600, 0o660, 0o666} {
		path := filepath.Join(dir, "api")
		l := listenSocket(t, path, mode)
		want := mode
		if mode == 0 {
			want = 0o600
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|want {
			t.Errorf("mode %v: the socket is %v, %v, want %v", mode, info.Mode(), err, fs.ModeSocket|want)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		c.Close()
		if l.Addr().Network() != "unix" || l.Addr().String() != path {
			t.Errorf("the address is %v", l.Addr())
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
			t.Errorf("the directory has %v, %v", names, err)
		}
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close Accept returns %v", err)
		}
		if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
			t.Errorf("after Close the directory has %v, %v", names, err)
		}
	}
}

// TestListenSocketWaiting checks that a connection that nobody has accepted yet ends with
// the listener.
func TestListenSocketWaiting(t *testing.T) {
	path := filepath.Join(testutil.ShortDir(t), "api")
	l := listenSocket(t, path, 0)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}

// TestListenSocketStale checks that a socket which nobody listens to is replaced, and that
// of somebody else, a file, and what a symbolic link leads to are left alone.
func TestListenSocketStale(t *testing.T) {
	dir := testutil.ShortDir(t)
	path := filepath.Join(dir, "api")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if _, err := vswitch.ListenSocket(path, 0, ""); !errors.Is(err, vswitch.ErrInUse) {
		t.Errorf("where somebody listens: %v, want ErrInUse", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the other's socket has been removed: %v", err)
	}
	c.Close()
	dead.Close()
	listenSocket(t, path, 0).Close()

	file := filepath.Join(dir, "file")
	content := []byte("somebody's")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "link"} {
		if _, err := vswitch.ListenSocket(filepath.Join(dir, name), 0o666, ""); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v, want fs.ErrExist", name, err)
		}
	}
	info, err := os.Stat(file)
	if b, _ := os.ReadFile(file); err != nil || info.Mode() != 0o600 || !bytes.Equal(b, content) {
		t.Errorf("the file is %v, %q now", info.Mode(), b)
	}
	if info, err := os.Lstat(filepath.Join(dir, "link")); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link is %v, %v now", info, err)
	}
}

// TestListenSocketErrors checks what cannot be listened at.
func TestListenSocketErrors(t *testing.T) {
	dir := testutil.ShortDir(t)
	for _, path := range []string{"", dir + "/", dir + "/.", dir + "/..", dir + "/none/api", dir + "/" + string(bytes.Repeat([]byte("x"), 108))} {
		if l, err := vswitch.ListenSocket(path, 0, ""); err == nil {
			l.Close()
			t.Errorf("listening at %q", path)
		}
	}
	if l, err := vswitch.ListenSocket(dir+"/api", 0, "no such group"); err == nil {
		l.Close()
		t.Error("listening for a group that is not there")
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("the directory has %v, %v", names, err)
	}
}

// TestListenSocketUsers checks who is let in: by mode and group, and without them nobody
// else even if the mode of the socket has become another one.
func TestListenSocketUsers(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	dir := openDir(t)
	for _, c := range []struct {
		name          string
		mode, changed fs.FileMode
		group         string
		member, third bool
	}{
		{"owner", 0o600, 0, "", false, false},
		{"group", 0o660, 0, "4711", true, false},
		{"all", 0o666, 0, "", true, true},
		{"changed", 0o600, 0o666, "", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(dir, c.name)
			l, err := vswitch.ListenSocket(path, c.mode, c.group)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte{1})
					conn.Close()
				}
			}()
			if c.changed != 0 {
				if err := os.Chmod(path, c.changed); err != nil {
					t.Fatal(err)
				}
			}
			root := who{uid: os.Geteuid(), gid: os.Getegid()}
			for _, u := range []struct {
				who who
				in  bool
			}{{root, true}, {member, c.member}, {third, c.third}} {
				if err := u.who.served(path); (err == nil) != u.in {
					t.Errorf("user %d: %v, want to be let in: %v", u.who.uid, err, u.in)
				} else if err != nil && c.changed == 0 && !errors.Is(err, unix.EACCES) {
					t.Errorf("user %d: %v, want EACCES", u.who.uid, err)
				}
			}
		})
	}
}

// served returns nil if w gets a byte from the socket at path.
func (w who) served(path string) error {
	return w.do(func() error {
		c, err := net.Dial("unix", path)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = io.ReadFull(c, make([]byte, 1))
		return err
	})
}

// openDir returns a directory that all users can get to and write to.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "vswitch")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}
