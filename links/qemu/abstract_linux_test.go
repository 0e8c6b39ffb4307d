// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
)

var names atomic.Uint32

// abstractName returns an abstract name that no other test uses.
func abstractName(tb testing.TB) string {
	tb.Helper()
	return fmt.Sprintf("@go-vde test %d %d", os.Getpid(), names.Add(1))
}

// TestAbstractServer has a server of each kind listen at an abstract name, which is in use
// until Close and leaves no file.
func TestAbstractServer(t *testing.T) {
	for _, scheme := range []string{"stream", "hyperkit", "bess"} {
		t.Run(scheme, func(t *testing.T) {
			name := abstractName(t)
			for range 2 {
				server := mustOpen(t, scheme+"://"+name+"[server]")
				client := mustOpen(t, scheme+"://"+name)
				exchange(t, client, server)
				if _, err := open(t, scheme+"://"+name+"[server]"); !errors.Is(err, unix.EADDRINUSE) {
					t.Errorf("a second server: %v", err)
				}
				if _, err := os.Stat(name); err == nil {
					t.Error("there is a file of the name")
				}
				server.Close()
				<-client.Done()
			}
		})
	}
	if _, err := open(t, "stream://@"+strings.Repeat("x", 107)+"[server]"); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("a long name: %v", err)
	}
	if _, err := open(t, "stream://"+abstractName(t)+"[server/group=no-such-group]"); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("an unknown group: %v", err)
	}
}

// connectAs connects to an abstract name as another user.
func connectAs(t *testing.T, name string, uid, gid uintptr) (fd int) {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine, and so do its credentials
		result <- func() (err error) {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, ^uintptr(0), gid, ^uintptr(0)); errno != 0 {
				return errno
			}
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uid, ^uintptr(0)); errno != 0 {
				return errno
			}
			if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			return unix.Connect(fd, &unix.SockaddrUnix{Name: name})
		}()
	}()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestAbstractServerUsers has other users connect to an abstract name, for which the
// permissions are those of a file: whom they do not admit never becomes the peer.
func TestAbstractServerUsers(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID")
	if os.Geteuid() != 0 {
		testpeers.Skip(t, "root", "run the tests as root")
	}
	const nobody, games = 65534, 60
	for _, c := range []struct {
		params   string
		uid, gid uintptr
		admitted bool
	}{
		{"[server]", nobody, nobody, false},
		{"[server]", nobody, 0, false},
		{"[server]", 0, nobody, true},
		{"[server/mode=0770]", nobody, 0, true},
		{"[server/mode=0770]", nobody, games, false},
		{"[server/mode=0770/group=60]", nobody, games, true},
		{"[server/mode=0770/group=60]", nobody, 0, false},
		{"[server/mode=0702]", nobody, nobody, true},
		{"[server/mode=0702]", nobody, 0, false}, // as the bits of a group come first
		{"[server/mode=0775]", nobody, nobody, false},
	} {
		t.Run(fmt.Sprintf("%s%d-%d", c.params, c.uid, c.gid), func(t *testing.T) {
			name := abstractName(t)
			server := mustOpen(t, "stream://"+name+c.params)
			fd := connectAs(t, name, c.uid, c.gid)
			if c.admitted {
				await(t, server, true)
				return
			}
			if n, err := unix.Read(fd, make([]byte, 1)); n != 0 || err != nil {
				t.Fatalf("the connection is not closed: %d, %v", n, err)
			}
			if s := server.Caps().State.State(); s.Up {
				t.Errorf("the stranger is the peer: %+v", s)
			}
			exchange(t, mustOpen(t, "stream://"+name), server)
		})
	}
}
