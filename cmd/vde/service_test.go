// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/testutil"
)

// A manager is what systemd is for a process: a socket to which that sends variables.
type manager struct {
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(testutil.ShortDir(t), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{conn, path}
}

// next returns the variables of the next message that has the one named.
func (m *manager) next(t *testing.T, name string) map[string]string {
	t.Helper()
	b := make([]byte, 8192)
	for {
		if err := m.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // for hangs
			t.Fatal(err)
		}
		n, err := m.conn.Read(b)
		if err != nil {
			t.Fatalf("no %s: %v", name, err)
		}
		variables := make(map[string]string)
		for line := range strings.Lines(string(b[:n])) {
			key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			if !ok {
				t.Errorf("a line %q", line)
			}
			variables[key] = value
		}
		if _, ok := variables[name]; ok {
			return variables
		}
	}
}

// TestService checks what systemd is told: that the switch is ready, reads its file again,
// could not, lives, and ends.
func TestService(t *testing.T) {
	testutil.NoLeaks(t)
	m := newManager(t)
	base := testutil.ShortDir(t)
	dir, name := filepath.Join(base, "sw"), filepath.Join(base, "lab.yaml")
	write(t, name, "dir: "+dir)
	cmd := command(t, "switch", "-c", name)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=20000")
	var l log
	cmd.Stderr = &l
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if got := m.next(t, "READY"); got["READY"] != "1" || got["STATUS"] != "serving "+dir {
		t.Errorf("%v", got)
	}
	for range 3 {
		if got := m.next(t, "WATCHDOG"); got["WATCHDOG"] != "1" {
			t.Errorf("%v", got)
		}
	}
	for _, test := range []struct{ text, want string }{
		{"speed: 1\nhub: no", `^serving ` + dir + `; configuration not reloaded: \S*lab.yaml:1: speed: unknown key.*; \S*lab.yaml:2: hub: `},
		{"dir: " + dir + "\nhub: true", `^serving ` + dir + `$`},
	} {
		write(t, name, test.text)
		var before unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
			t.Fatal(err)
		}
		hangup(t, cmd.Process)
		got := m.next(t, "RELOADING")
		usec, err := time.ParseDuration(got["MONOTONIC_USEC"] + "us")
		if got["RELOADING"] != "1" || err != nil || usec < time.Duration(before.Nano()).Truncate(time.Microsecond) {
			t.Errorf("%v, %v; it was %d ns", got, err, before.Nano())
		}
		if got := m.next(t, "READY"); !regexp.MustCompile(test.want).MatchString(got["STATUS"]) {
			t.Errorf("%v, want %s", got, test.want)
		}
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := m.next(t, "STOPPING"); got["STOPPING"] != "1" {
		t.Errorf("%v", got)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &l)
	}
}

// passSockets has cmd get new sockets under names, as systemd passes them: its process has to
// have the number that a variable says.
func passSockets(t *testing.T, cmd *exec.Cmd, names ...string) (addrs []string) {
	t.Helper()
	for range names {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		passFile(t, cmd, l)
		addrs = append(addrs, l.Addr().String())
		l.Close()
	}
	passNames(cmd, names...)
	return addrs
}

// passFile has cmd get the descriptor of l.
func passFile(t *testing.T, cmd *exec.Cmd, l interface{ File() (*os.File, error) }) {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
}

// passNames has cmd know its descriptors under names.
func passNames(cmd *exec.Cmd, names ...string) {
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "LISTEN_FDS="+string(rune('0'+len(names))), "LISTEN_FDNAMES="+strings.Join(names, ":"))
}

// TestServiceSockets checks that the page of metrics is served on the sockets that systemd
// has opened for it, and that one with another name is an error.
func TestServiceSockets(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	cmd := command(t, "switch", dir, "--metrics", "198.51.100.1:1")
	addrs := passSockets(t, cmd, "metrics", "metrics")
	var l log
	cmd.Stderr = &l
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.await(t, "msg=serving dir")
	for _, addr := range addrs {
		if code, text := fetch(t, "GET", addr, "/metrics", ""); code != 200 || !strings.Contains(text, "vde_switch_fdb_entries{") {
			t.Errorf("%s: %d\n%s", addr, code, text)
		}
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &l)
	}
	cmd = command(t, "switch", dir)
	passSockets(t, cmd, "web")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `systemd has opened the socket "web": give FileDescriptorName=api or metrics in the socket unit`) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestServiceAPISocket checks that the API is served on the socket that systemd has opened,
// unless that lets in everybody.
func TestServiceAPISocket(t *testing.T) {
	testutil.NoLeaks(t)
	base := testutil.ShortDir(t)
	dir, path := filepath.Join(base, "sw"), filepath.Join(base, "s")
	for _, test := range []struct {
		mode os.FileMode
		want string
	}{
		{0o660, "msg=serving dir"},
		{0o666, "lets in all users; give SocketMode=0600"},
	} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		cmd := command(t, "switch", dir)
		passFile(t, cmd, l)
		passNames(cmd, "api")
		var text log
		cmd.Stderr = &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		text.await(t, test.want)
		if test.mode == 0o660 {
			if s := getSwitch(t, path); s.GetReadOnly() {
				t.Error("the API is read-only")
			}
			if _, err := os.Stat(filepath.Join(dir, "api")); !os.IsNotExist(err) {
				t.Errorf("there is another socket: %v", err)
			}
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Wait(); (err == nil) != (test.mode == 0o660) {
			t.Errorf("%v\n%s", err, &text)
		}
		l.Close()
	}
}
