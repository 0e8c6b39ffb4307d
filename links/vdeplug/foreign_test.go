// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A third user can queue nothing in a joining client's data socket if its mode
// does not allow it. What that user queues otherwise is discarded and counted, and
// once the socket is connected the kernel refuses it, even through a descriptor that
// needs no name.
func TestInjectionByAnotherUser(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		mode    fs.FileMode
		want    error  // before the switch's reply
		foreign uint64 // datagrams counted
	}{
		{0o700, syscall.EACCES, 0},
		{0o770, syscall.EACCES, 0},
		{0o777, nil, 1},
	} {
		t.Run(fmt.Sprintf("%#o", tt.mode), func(t *testing.T) {
			testutil.NoLeaks(t)
			kept := -1 // the client's data socket, without its name
			inject := func(path string) error { return sendAs(nobody, path, conntest.Frame(60, 666)) }
			var before error
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				r, err := c.ReadRequest()
				if err != nil {
					return
				}
				// The user nobody may search the directory that the path leads through.
				if err := os.Chmod(filepath.Dir(r.Path), 0o711); err != nil {
					t.Error(err)
				}
				if kept, err = unix.Open(r.Path, unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
					t.Error(err)
				}
				before = inject(r.Path)
				c.ConnectBack()
				c.Bind()
				c.Reply()
			})
			c := conntest.Open(t, sw.VNL(), vde.WithSocketMode(tt.mode))
			client := conntest.Next(t, sw)
			defer syscall.Close(kept)
			if before != tt.want {
				t.Errorf("while joining: %v, want %v", before, tt.want)
			}
			path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), kept)
			for who, err := range map[string]error{"nobody": inject(path), "root": sendAs(&syscall.Credential{}, path, conntest.Frame(60, 667))} {
				if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) || who == "root" && err != syscall.EPERM {
					t.Errorf("%s, afterwards: %v, want EPERM", who, err)
				}
			}
			conntest.Send(t, client, 1)
			conntest.Expect(t, c, 1)
			if s := c.Stats(); s.RxForeign != tt.foreign || s.RxFrames != 1 {
				t.Errorf("%+v, want %d foreign", s, tt.foreign)
			}
		})
	}
}

// sendAs sends a datagram as another user, from a thread of its own.
func sendAs(cred *syscall.Credential, path string, b []byte) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		done <- func() error {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(cred.Gid), uintptr(cred.Gid), uintptr(cred.Gid)); errno != 0 {
				return errno
			}
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(cred.Uid), ^uintptr(0)); errno != 0 {
				return errno
			}
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer syscall.Close(fd)
			return syscall.Sendto(fd, b, syscall.MSG_DONTWAIT, &syscall.SockaddrUnix{Name: path})
		}()
	}()
	return <-done
}

// Permission that is taken away after a client has joined takes nothing from it,
// until it has to join again; then it waits for permission to come back.
func TestPermissionRevoked(t *testing.T) {
	needRoot(t)
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	ctl := filepath.Join(sw.Dir(), "ctl")
	chmod := func(mode fs.FileMode) {
		t.Helper()
		if err := os.Chmod(ctl, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(0o666)
	place := testutil.ShortDir(t)
	if err := os.Chmod(place, 0o777); err != nil {
		t.Fatal(err)
	}
	denied := filepath.Join(place, "denied")
	if err := errors.Join(syscall.Mkfifo(denied, 0o666), os.Chmod(denied, 0o666)); err != nil {
		t.Fatal(err)
	}
	var report joinReport
	startAs(t, nobody, role{Name: "reconnect", VNL: sw.VNL(), Denied: denied}, &report)
	report.check(t, nil)
	client := conntest.Next(t, sw)
	received := func(c *testutil.FakeClient, seq int) {
		t.Helper()
		f, err := c.Recv(conntest.Watchdog(t))
		for ; err == nil && conntest.Seq(f) != seq; f, err = c.Recv(conntest.Watchdog(t)) {
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	received(client, 1)
	chmod(0o600)
	// It is still there: it answers what it gets.
	conntest.Send(t, client, 2)
	received(client, 2)
	client.Close()
	// It tries to open the socket again and cannot.
	said := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(denied) // ends when the other has opened and closed it
		said <- err
	}()
	if err := conntest.Await(t, "the client says that it was denied", said); err != nil {
		t.Fatal(err)
	}
	chmod(0o666)
	client = conntest.Next(t, sw)
	conntest.Send(t, client, 3)
	received(client, 3)
}

// reconnectAs joins for as long as the test lasts, sends back what it receives,
// and writes to a pipe when it is denied to join again.
func reconnectAs(t *testing.T, r role) any {
	c, err := vde.Open(conntest.Watchdog(t), r.VNL, vde.WithReconnect(conntest.Quick))
	if err != nil {
		return joinReport{Err: err.Error()}
	}
	t.Cleanup(func() { c.Close() })
	var once sync.Once
	c.OnLinkChange(func(s vde.LinkState) {
		if errors.Is(s.Err, vde.ErrControlDenied) {
			once.Do(func() { os.WriteFile(r.Denied, nil, 0) })
		}
	})
	if _, err = c.Write(conntest.Frame(60, 1)); err != nil {
		return joinReport{Err: err.Error()}
	}
	go func() {
		buf := make([]byte, 100)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			c.Write(buf[:n])
		}
	}()
	return joinReport{}
}
