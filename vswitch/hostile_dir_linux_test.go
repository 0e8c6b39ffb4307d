// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// An attack exchanges a name in a directory for a symbolic link, as soon as it is
// there, again and again.
type attack struct {
	victim string // what the links lead to
	before unix.Stat_t
	target atomic.Pointer[string]
	times  atomic.Int64
	stop   chan struct{}
	ended  chan error
}

// attackAs begins an attack on files in a directory below parent, as w.
func attackAs(t *testing.T, w who, parent string) *attack {
	t.Helper()
	a := &attack{victim: filepath.Join(testutil.ShortDir(t), "victim"), stop: make(chan struct{}), ended: make(chan error, 1)}
	if err := errors.Join(os.WriteFile(a.victim, nil, 0o644), unix.Stat(a.victim, &a.before)); err != nil {
		t.Fatal(err)
	}
	go func() { a.ended <- w.do(func() error { return a.run(filepath.Join(parent, "link")) }) }()
	t.Cleanup(func() {
		close(a.stop)
		if err := <-a.ended; err != nil {
			t.Error(err)
		}
		t.Logf("%d names exchanged", a.times.Load())
	})
	return a
}

func (a *attack) run(link string) error {
	for {
		select {
		case <-a.stop:
			return nil
		default:
		}
		target := a.target.Load()
		if target == nil {
			continue
		}
		if err := os.Symlink(a.victim, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		// This succeeds when there is something of that name, and at no other time.
		if unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, *target, unix.RENAME_EXCHANGE) != nil {
			continue
		}
		a.times.Add(1)
		a.target.CompareAndSwap(target, nil)
		if err := os.Remove(link); err != nil {
			return err
		}
	}
}

// check checks that the victim is what it was.
func (a *attack) check(t *testing.T, try int) {
	t.Helper()
	var now unix.Stat_t
	if err := unix.Stat(a.victim, &now); err != nil {
		t.Fatal(err)
	}
	if now.Mode != a.before.Mode || now.Uid != a.before.Uid || now.Gid != a.before.Gid {
		t.Fatalf("at try %d root's file became %#o of %d:%d", try, now.Mode&0o777, now.Uid, now.Gid)
	}
}

// tries is how often TestExchangedNames and TestExchangedControlSocket try.
const tries = 500

// A member of the directory's group that exchanges the names of new sockets for
// symbolic links has no other file changed.
func TestExchangedNames(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	parent := writable(t)
	dir := filepath.Join(parent, "sw")
	// Without the sticky bit, which would keep the member from exchanging anything.
	sw := vswitch.New(vswitch.Config{Mode: 0o666, DirMode: 0o770, Group: strconv.FormatUint(uint64(member.groups[0]), 10)})
	defer sw.Close()
	listen(t, sw, dir)
	a := attackAs(t, member, parent)
	own := writable(t)
	for i := range tries {
		vswitch.SetLastEndpoint(sw, uint64(i))
		name := fmt.Sprintf("%s/001.%d", dir, i+1)
		a.target.Store(&name)
		_, leave, _ := member.join(dir, own) // which may well fail
		leave()
		until(t, "it is gone", func() bool { return len(active(sw)) == 0 })
		a.check(t, i+1)
	}
}

// The same while control sockets are made.
func TestExchangedControlSocket(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	parent := writable(t)
	dir := filepath.Join(parent, "sw")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, -1, int(member.groups[0])), os.Chmod(dir, 0o770)); err != nil {
		t.Fatal(err)
	}
	a := attackAs(t, member, parent)
	for i := range tries {
		name := filepath.Join(dir, []string{".ct", "ctl"}[i%2])
		a.target.Store(&name)
		sw := vswitch.New(vswitch.Config{Mode: 0o666, DirMode: 0o770})
		_, _ = sw.Listen(dir) // which may well fail
		sw.Close()
		for _, name := range []string{".ct", "ctl"} {
			_ = os.Remove(filepath.Join(dir, name))
		}
		a.check(t, i+1)
	}
}

// With the sticky bit that Mode gives the directory, members of the group cannot
// exchange names at all.
func TestStickyDirectory(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	_, dir := start(t, vswitch.Config{Mode: 0o660, Group: strconv.FormatUint(uint64(member.groups[0]), 10)})
	peer, leave, err := member.join(dir, writable(t))
	if err != nil || peer == "" {
		t.Fatal(peer, err)
	}
	defer leave()
	if err := member.do(func() error { return os.Rename(dir+"/ctl", dir+"/.ctl") }); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("a member renames ctl: %v", err)
	}
	if err := member.do(func() error { return os.WriteFile(dir+"/.new", nil, 0o600) }); err != nil {
		t.Errorf("a member may not make a file: %v", err)
	}
}

// Nobody who may read the directory, or write to it, can keep a switch from
// starting by a lock or by taking the names that it uses.
func TestStartDespiteLocksAndNames(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	dir := writable(t)
	var held []*os.File
	defer func() {
		for _, f := range held {
			f.Close()
		}
	}()
	err := third.do(func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		held = append(held, d)
		f, err := os.OpenFile(dir+"/.lk", os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			return err
		}
		held = append(held, f)
		return errors.Join(
			unix.Flock(int(d.Fd()), unix.LOCK_EX), unix.Flock(int(f.Fd()), unix.LOCK_EX),
			os.WriteFile(dir+"/.ct", nil, 0o600), os.Mkdir(dir+"/001.1", 0o700),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	listen(t, sw, dir)
	across(t, open(t, dir), open(t, dir))
	for _, name := range []string{".lk", ".ct", "001.1"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Errorf("what was there is gone: %v", err)
		}
	}
}

// A switch in a directory whose path leaves no room for more than three bytes uses
// its names again. An endpoint that ends removes no name of another.
func TestShortNamesOfOthers(t *testing.T) {
	base := testutil.ShortDir(t)
	dir := base + "/" + strings.Repeat("d", 107-len("/ctl")-len(base)-1)
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	listen(t, sw, dir)
	first := open(t, dir, vde.WithSharedMemory(vde.SharedMemoryNever))
	name := filepath.Join(dir, "1")
	if _, err := os.Lstat(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	first.Close()
	until(t, "the endpoint ended", func() bool { return len(active(sw)) == 0 })
	if _, err := os.Lstat(name); err != nil {
		t.Errorf("the endpoint removed the name of another socket: %v", err)
	}
	// And the name of a socket that lives is not taken.
	vswitch.SetLastEndpoint(sw, 36*36*36)
	open(t, dir, vde.WithSharedMemory(vde.SharedMemoryNever))
	if c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: name}); err != nil {
		t.Errorf("the name of a socket that lives was taken: %v", err)
	} else {
		c.Close()
	}
}

// An abstract data socket has to belong to the client, as one with a file has to.
func TestAbstractOwner(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	sw, dir := start(t, vswitch.Config{Mode: 0o666})
	for i, tt := range []struct {
		name          string
		owner, client who
		in            bool
	}{
		{"own", member, member, true},
		{"another user's", third, member, false},
		{"root's", who{}, member, false},
		{"another user's, for root", third, who{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprintf("@vde-test-%d-%d", os.Getpid(), i)
			name += strings.Repeat("\x00", 108-len(name))
			var data int
			if err := tt.owner.do(func() (err error) {
				if data, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
					return err
				}
				return syscall.Bind(data, &syscall.SockaddrUnix{Name: name})
			}); err != nil {
				t.Fatal(err)
			}
			defer unix.Close(data)
			var n int
			if err := tt.client.do(func() error {
				ctl, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					return err
				}
				defer unix.Close(ctl)
				if err := unix.Connect(ctl, &unix.SockaddrUnix{Name: dir + "/ctl"}); err != nil {
					return err
				}
				if _, err := unix.Write(ctl, v3(0, 0)(name)); err != nil {
					return err
				}
				n, err = unix.Read(ctl, make([]byte, 200))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if (n > 0) != tt.in {
				t.Errorf("a reply of %d bytes", n)
			}
			until(t, "it is gone", func() bool { return len(active(sw)) == 0 })
		})
	}
}
