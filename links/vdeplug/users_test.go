// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// Users that Debian always has.
var (
	daemon = &syscall.Credential{Uid: 1, Gid: 1}
	nobody = &syscall.Credential{Uid: 65534, Gid: 65534}
)

// roleVariable tells a copy of this test program, run as another user, what to do.
const roleVariable = "VDE_TEST_ROLE"

// A role is the part that a copy of this program plays in a test.
type role struct {
	Name   string // of a function in roles
	VNL    string // to open
	Group  string // WithSocketGroup
	Modes  fs.FileMode
	Chroot string // to go there, and become nobody then
	Denied string // named pipe to open and close when it is denied to join again
}

// A joinReport is what a copy has to say about an attempt to join.
type joinReport struct {
	Err   string // empty after success
	Kinds []string
	Perm  bool // it matches fs.ErrPermission
}

var roles = map[string]func(t *testing.T, r role) any{
	"join":      joinAs,
	"switch":    switchAs,
	"chroot":    joinInChroot,
	"reconnect": reconnectAs,

	"chrooted switch": switchInChroot,
}

// TestAsOtherUser is no test: it is where copies of this program begin.
func TestAsOtherUser(t *testing.T) {
	text := os.Getenv(roleVariable)
	if text == "" {
		return
	}
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	result, err := json.Marshal(roles[r.Name](t, r))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\nresult %s\n", result)
	io.Copy(io.Discard, os.Stdin) // until the parent has had enough
}

// startAs runs a copy of this program as another user (nil: the same) and stores
// what it has to say in result. The copy ends with the test.
func startAs(t testing.TB, cred *syscall.Credential, r role, result any) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	// The program's own path leads through directories that others may not enter.
	cmd := exec.CommandContext(conntest.Watchdog(t), "/proc/self/exe", "-test.run=^TestAsOtherUser$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text), "HOME=/nonexistent", "SSH_CLIENT=",
		"GORACE=atexit_sleep_ms=0") // which the race detector would make 1 s
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred, Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		rest, _ := io.ReadAll(stdout)
		if err := cmd.Wait(); err != nil {
			t.Errorf("copy of this program: %v\n%s", err, rest)
		}
	})
	out := bufio.NewReader(stdout)
	var said strings.Builder
	for {
		line, err := out.ReadString('\n')
		if text, ok := strings.CutPrefix(line, "result "); ok {
			if err := json.Unmarshal([]byte(text), result); err != nil {
				t.Fatal(err)
			}
			return
		}
		said.WriteString(line)
		if err != nil {
			t.Fatalf("copy of this program: %v\n%s", err, said.String())
		}
	}
}

func joinAs(t *testing.T, r role) any {
	var opts []vde.Option
	if r.Group != "" {
		opts = append(opts, vde.WithSocketGroup(r.Group))
	}
	c, err := vde.Open(conntest.Watchdog(t), r.VNL, opts...)
	if err == nil {
		t.Cleanup(func() { c.Close() })
		_, err = c.Write(conntest.Frame(60, 1))
	}
	if err == nil {
		return joinReport{}
	}
	report := joinReport{Err: err.Error(), Perm: errors.Is(err, fs.ErrPermission)}
	for _, kind := range openKinds {
		if errors.Is(err, kind) {
			report.Kinds = append(report.Kinds, kind.Error())
		}
	}
	return report
}

// switchAs is a switch that all users may join if its sockets' modes let them.
func switchAs(t *testing.T, r role) any {
	sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		if c.ConnectBack() != nil {
			c.Close()
			return
		}
		c.Bind()
		if err := os.Chmod(c.DataPath(), r.Modes); err != nil {
			t.Error(err)
		}
		c.Reply()
	})
	if err := os.Chmod(filepath.Join(sw.Dir(), "ctl"), 0o666); err != nil {
		t.Fatal(err)
	}
	return sw.Dir()
}

// joinInChroot joins as nobody where there is nothing but the switch.
func joinInChroot(t *testing.T, r role) any {
	if err := errors.Join(syscall.Chroot(r.Chroot), syscall.Chdir("/"), syscall.Setgroups(nil), syscall.Setgid(65534), syscall.Setuid(65534)); err != nil {
		t.Fatal(err)
	}
	return joinAs(t, r)
}

// checkReport checks a report of failure, or of success if kind is nil.
func (r joinReport) check(t testing.TB, kind error, parts ...string) {
	t.Helper()
	if kind == nil {
		if r.Err != "" {
			t.Error(r.Err)
		}
		return
	}
	if len(r.Kinds) != 1 || r.Kinds[0] != kind.Error() {
		t.Errorf("error %q matches %q, want %q", r.Err, r.Kinds, kind)
	}
	if r.Perm != errors.Is(kind, fs.ErrPermission) {
		t.Errorf("error %q: it is %v that it matches fs.ErrPermission", r.Err, r.Perm)
	}
	for _, part := range parts {
		if !strings.Contains(r.Err, part) {
			t.Errorf("error %q does not say %q", r.Err, part)
		}
	}
}

// An unprivileged user, with no options, on a switch that lets everybody join.
func TestOpenUnprivileged(t *testing.T) {
	needRoot(t)
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	if err := os.Chmod(filepath.Join(sw.Dir(), "ctl"), 0o666); err != nil {
		t.Fatal(err)
	}
	var report joinReport
	startAs(t, nobody, role{Name: "join", VNL: sw.VNL()}, &report)
	report.check(t, nil)
	client := conntest.Next(t, sw)
	if f, err := client.Recv(conntest.Watchdog(t)); err != nil || conntest.Seq(f) != 1 {
		t.Errorf("received %x, %v", f, err)
	}
	// The switch's directory is not for everybody to write to.
	r := client.Request()
	if !strings.HasPrefix(r.Path, fmt.Sprintf("/var/tmp/vde.%05d-", r.PID)) {
		t.Errorf("data socket %s", r.Path)
	}
	if r.PathMode != fs.ModeSocket|0o700 || r.PathUID != 65534 || r.PathGID != 65534 || r.UID != 65534 {
		t.Errorf("data socket %v of %d:%d, for user %d", r.PathMode, r.PathUID, r.PathGID, r.UID)
	}
	if _, err := os.Lstat(r.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the data socket's name is left: %v", err)
	}
	noStrays(t, sw)

	// If it may write there, it does so.
	if err := os.Chmod(sw.Dir(), 0o1777); err != nil {
		t.Fatal(err)
	}
	startAs(t, nobody, role{Name: "join", VNL: sw.VNL()}, &report)
	report.check(t, nil)
	if r := requestOf(t, sw); filepath.Dir(r.Path) != sw.Dir() || r.PathMode != fs.ModeSocket|0o700 {
		t.Errorf("data socket %s, %v", r.Path, r.PathMode)
	}
	noStrays(t, sw)
}

func TestOpenControlDenied(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name      string
		dir, ctl  fs.FileMode
		step      string
		portGroup fs.FileMode
	}{
		{name: "ctl", dir: 0o755, ctl: 0o600, step: "connect to the control socket "},
		{name: "ctl, read only", dir: 0o755, ctl: 0o644, step: "connect to the control socket "},
		{name: "directory", dir: 0o700, ctl: 0o666, step: "connect to the control socket "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := testutil.NewFakeSwitch(t)
			if err := errors.Join(os.Chmod(filepath.Join(sw.Dir(), "ctl"), tt.ctl), os.Chmod(sw.Dir(), tt.dir)); err != nil {
				t.Fatal(err)
			}
			var report joinReport
			startAs(t, nobody, role{Name: "join", VNL: sw.VNL()}, &report)
			report.check(t, vde.ErrControlDenied, tt.step+sw.Dir()+"/ctl", "permission denied", "ask the owner of the switch")
			if requests := sw.Requests(); len(requests) > 0 {
				t.Errorf("%d requests", len(requests))
			}
			noStrays(t, sw)
		})
	}
	t.Run("directory above", func(t *testing.T) {
		sw := testutil.NewFakeSwitch(t)
		above := testutil.ShortDir(t)
		if err := errors.Join(os.Symlink(sw.Dir(), above+"/sw"), os.Chmod(above, 0o700)); err != nil {
			t.Fatal(err)
		}
		var report joinReport
		startAs(t, nobody, role{Name: "join", VNL: above + "/sw"}, &report)
		report.check(t, vde.ErrControlDenied, "find the control directory "+above+"/sw", "search permission")
	})
}

func TestOpenDataDenied(t *testing.T) {
	needRoot(t)
	// The switch's own data socket is not for us.
	t.Run("switch's socket", func(t *testing.T) {
		testutil.NoLeaks(t)
		var dir string
		startAs(t, daemon, role{Name: "switch", Modes: 0o600}, &dir)
		var report joinReport
		startAs(t, nobody, role{Name: "join", VNL: dir}, &report)
		report.check(t, vde.ErrDataDenied, "connect to the switch's data socket "+dir+"/001.1", "permission denied", "ask the owner of the switch")
	})
	// There is nowhere to make one of our own.
	t.Run("no place for a socket", func(t *testing.T) {
		testutil.NoLeaks(t)
		sw := testutil.NewFakeSwitch(t)
		if err := os.Chmod(filepath.Join(sw.Dir(), "ctl"), 0o666); err != nil {
			t.Fatal(err)
		}
		var report joinReport
		startAs(t, nil, role{Name: "chroot", VNL: "/", Chroot: sw.Dir()}, &report)
		report.check(t, vde.ErrDataDenied, "make the data socket in /", "permission denied", "/var/tmp")
		noStrays(t, sw)
	})
}

// A switch of another user must be able to write to the data socket.
func TestOpenOtherUsersSwitch(t *testing.T) {
	needRoot(t)
	testutil.NoLeaks(t)
	var dir string
	startAs(t, daemon, role{Name: "switch", Modes: 0o666}, &dir)

	// With no options the switch's group is let in, or everybody.
	c := conntest.Open(t, dir)
	if _, err := c.Write(conntest.Frame(60, 1)); err != nil {
		t.Error(err)
	}
	var report joinReport
	startAs(t, nobody, role{Name: "join", VNL: dir}, &report)
	report.check(t, nil)

	// With options that keep the switch out, the error tells why.
	err := conntest.FailsToOpen(t, conntest.Watchdog(t), dir, vde.WithSocketGroup("nogroup"))
	checkOpenError(t, dir, err, vde.ErrConnectBackDenied, "ask for a free port at "+dir+"/ctl", "closed the connection", "group=", dir+"/.")
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %q does not match fs.ErrPermission", err)
	}
	checkOpenError(t, dir+"[5]", conntest.FailsToOpen(t, conntest.Watchdog(t), dir+"[5]", vde.WithSocketGroup("nogroup")), vde.ErrConnectBackDenied)
	conntest.Open(t, dir, vde.WithSocketGroup("nogroup"), vde.WithSocketMode(0o707))
	conntest.Open(t, dir, vde.WithSocketGroup("daemon"), vde.WithSocketMode(0o770))
	conntest.Open(t, dir, vde.WithSocketMode(0o777))

	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left in the switch's directory: %s", e.Name())
		}
	}
}

// Where /proc is not mounted, as in a bare chroot.
func TestOpenWithoutProc(t *testing.T) {
	needRoot(t)
	root := testutil.ShortDir(t)
	if err := os.Mkdir(root+"/tmp", 0o755); err != nil {
		t.Fatal(err)
	}
	var modes string
	startAs(t, nil, role{Name: "chrooted switch", Chroot: root}, &modes)
	if modes != "Srwxrwx---" {
		t.Errorf("the switch saw a data socket %s", modes)
	}
}

func switchInChroot(t *testing.T, r role) any {
	if err := errors.Join(syscall.Chroot(r.Chroot), syscall.Chdir("/")); err != nil {
		t.Fatal(err)
	}
	sw := testutil.NewFakeSwitch(t)
	c := conntest.Open(t, sw.VNL(), vde.WithSocketMode(0o770))
	client := conntest.Next(t, sw)
	conntest.Works(t, c, client)
	return client.Request().PathMode.String()
}
