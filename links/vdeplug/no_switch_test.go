// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A noSwitch is a locator that leads to no switch, and the error of Open for it.
type noSwitch struct {
	vnl   string
	kind  error
	parts []string
}

// putObstacles makes a directory with all that can be in the place of a control
// socket, and returns its path.
func putObstacles(t *testing.T) string {
	t.Helper()
	dir := testutil.ShortDir(t)
	for _, name := range []string{"stale", "file", "dir", "gram", "link", "empty"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	staleSocket(t, dir+"/stale/ctl")
	gram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: dir + "/gram/ctl"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gram.Close() })
	if err := errors.Join(
		os.WriteFile(dir+"/file/ctl", nil, 0o755),
		os.Mkdir(dir+"/dir/ctl", 0o755),
		os.Symlink("loop", dir+"/loop"),
		os.Symlink("nowhere", dir+"/dangling"),
		os.Symlink(dir+"/stale", dir+"/link/ctl"),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

// noSwitches are locators for the directory of putObstacles and the directory of a
// switch that must not be asked for anything.
func noSwitches(dir, sw string) []noSwitch {
	const control, find = "connect to the control socket ", "find the control directory "
	return []noSwitch{
		{dir + "/nowhere", vde.ErrNoSwitch, []string{find + dir + "/nowhere", "no such file", "start a switch"}},
		{dir + "/dangling", vde.ErrNoSwitch, []string{find, "no such file"}},
		{"vde://" + dir + "/nowhere[5]", vde.ErrNoSwitch, []string{find + dir + "/nowhere"}},
		{dir + "/empty", vde.ErrNoSwitch, []string{control + dir + "/empty/ctl", "no such file", "start a switch"}},
		{dir + "/empty[5]", vde.ErrNoSwitch, []string{control + dir + "/empty/ctl"}},
		{dir + "/stale", vde.ErrNoSwitch, []string{control + dir + "/stale/ctl", "connection refused", "nobody listens"}},
		{dir + "/file", vde.ErrNotSwitch, []string{control + dir + "/file/ctl", "not a socket", "control directory"}},
		{dir + "/dir", vde.ErrNotSwitch, []string{control + dir + "/dir/ctl", "not a socket"}},
		{dir + "/link", vde.ErrNotSwitch, []string{control + dir + "/link/ctl", "not a socket"}},
		{dir + "/gram", vde.ErrNotSwitch, []string{control + dir + "/gram/ctl", "control directory"}},
		{sw + "/ctl", vde.ErrNotSwitch, []string{control + sw + "/ctl/ctl", "not a directory", "control directory"}},
		{"/dev/null", vde.ErrNotSwitch, []string{"control directory"}},
		{"vde://" + sw + "[typo]", vde.ErrNoPortGroup, []string{"connect to the port group's socket " + sw + "/typo", "check its name", "without it joins any free port"}},
		{"vde://" + sw + "[4x]", vde.ErrNoPortGroup, []string{sw + "/4x"}},
		{"vde://" + sw + "[-1]", vde.ErrNoPortGroup, []string{sw + "/-1"}},
		{"tap://longer-than-any-name", syscall.EINVAL, []string{"longer-than-any-name", "15"}},
		{"nowhere://239.1.2.3", errors.ErrUnsupported, []string{"nowhere"}},
		{"nonsense:///tmp/x", errors.ErrUnsupported, []string{"no driver for scheme", "nonsense"}},
		{"vde:///tmp/x[foo=1]", syscall.EINVAL, []string{"unknown parameter", "foo"}},
		{"/tmp/x[8388608]", syscall.EINVAL, []string{"out of range"}},
		{"/tmp/x[mode=9]", syscall.EINVAL, []string{"octal"}},
		{"/tmp/x[..]", syscall.EINVAL, nil},
		{"/tmp/%00", syscall.EINVAL, []string{"NUL"}},
		{dir + "/" + strings.Repeat("n", 256), vde.ErrPathTooLong, []string{find}},
	}
}

// TestOpenNoSwitch opens what is no switch's control directory, and port groups that
// a switch does not have.
func TestOpenNoSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	dir := putObstacles(t)
	sw := testutil.NewFakeSwitch(t)
	for _, tt := range noSwitches(dir, sw.Dir()) {
		err := conntest.FailsToOpen(t, conntest.Watchdog(t), tt.vnl)
		checkOpenError(t, tt.vnl, err, tt.kind, tt.parts...)
		if got := errors.Is(err, fs.ErrNotExist); got != (tt.kind == vde.ErrNoSwitch && !strings.HasSuffix(tt.vnl, "/stale") || tt.kind == vde.ErrNoPortGroup) {
			t.Errorf("error %q: it is %v that it matches fs.ErrNotExist", err, got)
		}
	}
	// A loop of links is some error, whatever its kind.
	conntest.FailsToOpen(t, conntest.Watchdog(t), dir+"/loop")
	if requests := sw.Requests(); len(requests) > 0 {
		t.Errorf("the switch was asked %d times", len(requests))
	}
	noStrays(t, sw)
}
