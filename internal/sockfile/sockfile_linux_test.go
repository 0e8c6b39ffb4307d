// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// testDir returns a new directory, open. Its path leaves room for the name of a socket.
func testDir(t *testing.T) *Dir {
	t.Helper()
	path, err := os.MkdirTemp("/tmp", "sockfile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func socket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func bind(t *testing.T, d *Dir, name string) *File {
	t.Helper()
	f, err := d.Bind(socket(t), name, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// both runs f with and without the help that the kernel gives to CAP_NET_ADMIN.
func both(t *testing.T, f func(t *testing.T)) {
	t.Run("by descriptor", f)
	t.Run("by name", func(t *testing.T) {
		noIoctl = true
		defer func() { noIoctl = false }()
		f(t)
	})
}

// TestBind checks mode and owner from the first moment, and that a file is changed
// whatever has been put in its place since.
func TestBind(t *testing.T) {
	both(t, func(t *testing.T) {
		d := testDir(t)
		defer syscall.Umask(syscall.Umask(0))
		f := bind(t, d, "s")
		mode := func(name string) fs.FileMode {
			info, err := os.Lstat(d.Path() + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			return info.Mode()
		}
		if m := mode("s"); m != fs.ModeSocket|0o700 {
			t.Errorf("bound with mode %v", m)
		}
		if err := f.Check(); err != nil {
			t.Error(err)
		}
		victim := d.Path() + "/victim"
		if err := errors.Join(os.WriteFile(victim, nil, 0o600), os.Rename(f.Path(), d.Path()+"/moved"), os.Symlink(victim, f.Path())); err != nil {
			t.Fatal(err)
		}
		if err := f.Chmod(0o666); err != nil {
			t.Error(err)
		}
		if m := mode("moved"); m != fs.ModeSocket|0o666 {
			t.Errorf("the socket has mode %v", m)
		}
		if m := mode("victim"); m != 0o600 {
			t.Errorf("another file has mode %v", m)
		}
		if err := f.Check(); !errors.Is(err, ErrReplaced) {
			t.Errorf("%v, want ErrReplaced", err)
		}
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
		if m := mode("s"); m.Type() != fs.ModeSymlink {
			t.Errorf("what was put there became %v", m)
		}
	})
}

// TestBindInUse checks that nothing is bound where something is, not even a
// symbolic link that leads nowhere.
func TestBindInUse(t *testing.T) {
	both(t, func(t *testing.T) {
		d := testDir(t)
		if err := os.Symlink("nowhere", d.Path()+"/s"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Bind(socket(t), "s", 0o600); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%v, want EADDRINUSE", err)
		}
		if _, err := d.Lookup("s"); err == nil {
			t.Error("a symbolic link was followed")
		}
	})
}

// TestDirExchanged checks that names stay in the directory that was opened, when its
// path leads to another.
func TestDirExchanged(t *testing.T) {
	both(t, func(t *testing.T) {
		d := testDir(t)
		f := bind(t, d, "s")
		if !d.Same(d.Path()) {
			t.Error("it is not what it is")
		}
		if err := errors.Join(os.Rename(d.Path(), d.Path()+".old"), os.Mkdir(d.Path(), 0o700)); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(d.Path() + ".old")
		if d.Same(d.Path()) {
			t.Error("another directory is taken for it")
		}
		if _, err := d.Bind(socket(t), "t", 0o600); !errors.Is(err, ErrReplaced) {
			t.Errorf("bound elsewhere: %v, want ErrReplaced", err)
		}
		if err := f.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(d.Path() + ".old/s"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("its name is still there: %v", err)
		}
		if err := os.Symlink(d.Path()+".old", d.Path()+"/link"); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/link", "/link/.."} {
			if _, err := OpenDir(d.Path() + path); err == nil {
				t.Errorf("%s was opened by way of a symbolic link", path)
			}
		}
	})
}

// TestLink checks second names, and that an exchanged first name has no influence
// on them.
func TestLink(t *testing.T) {
	both(t, func(t *testing.T) {
		d := testDir(t)
		f := bind(t, d, "first")
		if err := errors.Join(os.Rename(f.Path(), d.Path()+"/moved"), os.WriteFile(f.Path(), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		g, err := f.Link("second")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Link("second"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v, want ErrExist", err)
		}
		if err := g.Check(); err != nil {
			t.Error(err)
		}
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := d.Lookup("second"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v, want ErrNotExist", err)
		}
		if _, err := d.Lookup("first"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%v, want ErrExist: it is a file", err)
		}
	})
}

// TestDead checks which sockets are taken for dead.
func TestDead(t *testing.T) {
	d := testDir(t)
	fd := socket(t)
	f, err := d.Bind(fd, "s", 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
		if dead, _ := f.Dead(kind); dead {
			t.Errorf("one that lives is dead for kind %d", kind)
		}
	}
	unix.Shutdown(fd, unix.SHUT_RDWR)
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if dead, _ := f.Dead(unix.SOCK_DGRAM); dead {
		t.Error("one that is shut is dead")
	}
	unix.Close(dup)
	// The socket itself is closed at the end of the test; this is a second one.
	g, err := func() (*File, error) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		return d.Bind(fd, "t", 0o700)
	}()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if dead, err := g.Dead(unix.SOCK_DGRAM); !dead || err != nil {
		t.Errorf("one that is gone: %v, %v", dead, err)
	}
}

// TestRemoveDead checks that the file of a dead socket is removed, and nothing else.
func TestRemoveDead(t *testing.T) {
	d := testDir(t)
	alive, dead := socket(t), socket(t)
	for name, fd := range map[string]int{"alive": alive, "dead": dead} {
		f, err := d.Bind(fd, name, 0o700)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if err := unix.Dup3(alive, dead, unix.O_CLOEXEC); err != nil { // closes it
		t.Fatal(err)
	}
	fd, err := d.OpenFile("file", unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if err := d.RemoveDead("alive", unix.SOCK_DGRAM); !errors.Is(err, ErrAlive) || !strings.Contains(err.Error(), d.Path()+"/alive") {
		t.Errorf("one that lives: %v", err)
	}
	if err := d.RemoveDead("file", unix.SOCK_DGRAM); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file: %v", err)
	}
	for range 2 { // the second time it is not there
		if err := d.RemoveDead("dead", unix.SOCK_DGRAM); err != nil {
			t.Errorf("one that is gone: %v", err)
		}
	}
	entries, err := os.ReadDir(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "alive file" {
		t.Errorf("%q are left", got)
	}
}

// TestPeerOwner checks what the kernel says of sockets with abstract names.
func TestPeerOwner(t *testing.T) {
	name := "\x00sockfile-test-" + strings.Repeat("x", 20) + filepath.Base(t.TempDir())
	peer, fd := socket(t), socket(t)
	abstract := &syscall.SockaddrUnix{Name: "@" + name[1:]}
	if _, err := PeerOwner(fd, name); !errors.Is(err, ErrUnknownOwner) {
		t.Errorf("without a peer: %v, want ErrUnknownOwner", err)
	}
	if err := errors.Join(syscall.Bind(peer, abstract), syscall.Connect(fd, abstract)); err != nil {
		t.Fatal(err)
	}
	if uid, err := PeerOwner(fd, name); err != nil || int(uid) != os.Geteuid() {
		t.Errorf("it belongs to %d, %v", uid, err)
	}
	if _, err := PeerOwner(fd, name+"x"); !errors.Is(err, ErrUnknownOwner) {
		t.Errorf("of another name: %v, want ErrUnknownOwner", err)
	}
}

// TestParseDiagnosis checks that no answer, however short, is more than an error.
func TestParseDiagnosis(t *testing.T) {
	var whole []byte
	for _, b := range [][]byte{
		{44, 0, 0, 0, unix.SOCK_DIAG_BY_FAMILY, 0}, make([]byte, 10), {unix.AF_UNIX, unix.SOCK_DGRAM}, make([]byte, 14),
		{8, 0, attrUID, 0, 1, 2, 3, 4}, {200, 0, attrPeer, 0},
	} {
		whole = append(whole, b...)
	}
	for n := range whole {
		if _, err := parseDiagnosis(whole[:n]); (err == nil) != (n >= 32) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	d, err := parseDiagnosis(whole)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.number(attrUID); !ok || d.kind != unix.SOCK_DGRAM {
		t.Errorf("%+v", d)
	}
	if _, ok := d.number(attrPeer); ok {
		t.Error("an attribute that is cut off counts")
	}
}
