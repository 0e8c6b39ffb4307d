// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/switchtest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// across checks that a frame gets from one connection to another.
func across(t *testing.T, from, to *vde.Conn) {
	t.Helper()
	f := testFrame(frame.Broadcast(), macA, 100, 7)
	if _, err := from.Write(f); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 200)
	to.SetReadDeadline(time.Now().Add(long))
	if n, err := to.Read(buf); err != nil || !bytes.Equal(buf[:n], f) {
		t.Fatalf("got %x, %v", buf[:n], err)
	}
}

// A switch whose directory is removed serves those who are attached, ends
// without complaint, and leaves the place to another.
func TestServedDirectoryRemoved(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	a, b := open(t, dir), open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	across(t, a, b)
	if _, err := vde.Open(t.Context(), dir); !errors.Is(err, vde.ErrNoSwitch) {
		t.Errorf("%v, want ErrNoSwitch", err)
	}
	second := vswitch.New(vswitch.Config{})
	defer second.Close()
	listen(t, second, dir)
	c, d := open(t, dir), open(t, dir)
	if err := sw.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	across(t, c, d) // the first has removed nothing of the second's
	across(t, open(t, dir), d)
}

// A switch that may no longer write to its directory refuses who comes, goes on
// serving who is there, and lets others in when it may again.
func TestServeWithoutPermission(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	testutil.NoLeaks(t)
	h := startChild(t, switchtest.Config{User: &testpeers.Credential{UID: 65534, GID: 65534}, Mode: 0o666})
	a, b := open(t, h.Dir()), open(t, h.Dir())
	if err := os.Chmod(h.Dir(), 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := vde.Open(t.Context(), h.Dir()); err == nil {
		t.Error("a third one joined")
	}
	across(t, a, b)
	if err := os.Chmod(h.Dir(), 0o777); err != nil {
		t.Fatal(err)
	}
	c := open(t, h.Dir())
	across(t, c, b)
}

// At the limit of descriptors, Listen fails and leaves nothing, and a switch
// that runs serves who is there and takes others when there are descriptors
// again.
func TestServeAtTheDescriptorLimit(t *testing.T) {
	t.Run("listen", func(t *testing.T) {
		testutil.NoLeaks(t)
		dir := testutil.ShortDir(t)
		testutil.NoFiles(t, dir)
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		for spare := range 16 {
			restore := limitDescriptors(t, os.Getpid(), spare)
			l, err := sw.Listen(dir)
			restore()
			if err == nil {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, unix.EMFILE) {
				t.Errorf("%d to spare: %v, want EMFILE", spare, err)
			}
		}
		t.Error("16 descriptors are not enough")
	})
	t.Run("serve", func(t *testing.T) {
		testutil.NoLeaks(t)
		h := startChild(t, switchtest.Config{})
		pid := h.(*testpeers.Server).PID()
		a, b := open(t, h.Dir()), open(t, h.Dir())
		across(t, a, b)
		for spare := 0; spare < 4; { // a client costs four
			used := descriptorsOf(t, pid)
			restore := limitDescriptors(t, pid, spare)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			c, err := vde.Open(ctx, h.Dir())
			cancel()
			if err == nil {
				now := descriptorsOf(t, pid)
				c.Close()
				restore()
				if containsAll(now, used) {
					t.Fatalf("joined with %d to spare", spare)
				}
				continue // with one that was still to be closed
			}
			across(t, a, b)
			restore()
			c = open(t, h.Dir())
			across(t, c, b)
			c.Close()
			spare++
		}
	})
}

// containsAll reports whether a has all entries of b.
func containsAll[K, V comparable](a, b map[K]V) bool {
	for k, v := range b {
		if w, ok := a[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// limitDescriptors lets process pid open no more than spare descriptors.
func limitDescriptors(t *testing.T, pid, spare int) (restore func()) {
	t.Helper()
	used := descriptorsOf(t, pid)
	if pid == os.Getpid() { // the descriptor that ReadDir used is in the list
		for n := range used {
			if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil {
				delete(used, n)
			}
		}
	}
	next := 0
	for left := spare; ; next++ {
		if used[next] == "" {
			if left == 0 {
				break
			}
			left--
		}
	}
	var was unix.Rlimit
	if pid == os.Getpid() {
		pid = 0 // the same; but a pid is its first thread, which may have been another user's in another test
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &was, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// descriptorsOf returns what the descriptors of a process are, in the words of proc(5).
func descriptorsOf(t *testing.T, pid int) map[int]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[int]string)
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		if what, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // else it has been closed
			used[n] = what
		}
	}
	return used
}
