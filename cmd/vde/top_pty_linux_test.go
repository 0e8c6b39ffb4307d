// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/testutil"
)

// openTerminal returns both ends of a new pseudo terminal of width x height.
func openTerminal(t *testing.T, width, height uint16) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var ioctlErr error
	if err := raw.Control(func(fd uintptr) {
		if ioctlErr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctlErr != nil {
			return
		}
		if number, ioctlErr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); ioctlErr != nil {
			return
		}
		ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width})
	}); err != nil || ioctlErr != nil {
		t.Fatal(err, ioctlErr)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

// TestTopTerminal runs the command in a real terminal without colours, resizes that, and
// checks that the terminal is left as it was.
func TestTopTerminal(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	master, terminal := openTerminal(t, 120, 30)
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, "top", l.dir)
	cmd.Env = append(cmd.Env, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "NO_COLOR=yes")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	await := func(text string) {
		t.Helper()
		b := make([]byte, 4096)
		for from := seen.Len(); !bytes.Contains(seen.Bytes()[from:], []byte(text)); {
			if err := master.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			n, err := master.Read(b)
			seen.Write(b[:n])
			if err != nil {
				t.Fatalf("%v, without %q in %q", err, text, seen.Bytes())
			}
		}
	}
	await("station a")
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 10, Col: 40})
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := master.WriteString("?"); err != nil {
		t.Fatal(err)
	}
	await("arrows")
	if _, err := master.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	await("\x1b[?1049l") // back to the usual screen
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	after, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("the terminal was %+v and is %+v, %v", before, after, err)
	}
	if colour := regexp.MustCompile(`\x1b\[(\d+;)*(3[0-79]|4[0-79]|38|48)(;\d+)*m`).Find(seen.Bytes()); colour != nil {
		t.Errorf("a colour: %q", colour)
	}
}
