// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// command returns the command line args as a process of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a command that hangs
	t.Cleanup(cancel)
	return commandContext(ctx, t, args...)
}

// commandContext is command until ctx ends.
func commandContext(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), commandVariable+"=1")
	return cmd
}

// start starts cmd and waits until it has written a line to the standard error, and for each
// of texts one that contains it. finish returns the further lines and how the process ended.
func start(t *testing.T, cmd *exec.Cmd, texts ...string) (finish func() (string, error)) {
	t.Helper()
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(messages)
	var seen strings.Builder
	for first := true; first || len(texts) > 0; first = false {
		line, err := lines.ReadString('\n')
		seen.WriteString(line)
		if err != nil {
			t.Fatalf("%v, %v, before %q: %s", err, cmd.Wait(), texts, seen.String())
		}
		texts = slices.DeleteFunc(texts, func(text string) bool { return strings.Contains(line, text) })
	}
	return func() (string, error) {
		rest, err := io.ReadAll(lines)
		if err != nil {
			t.Error(err)
		}
		return string(rest), cmd.Wait()
	}
}

// TestHangup checks that a command whose terminal is closed ends as if it was
// terminated: it completes files and removes what it made.
func TestHangup(t *testing.T) {
	testutil.NoLeaks(t)
	// The tests may run where SIGHUP is ignored, as by nohup. A signal that is handled
	// has its default effect in the processes that are started.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
	t.Run("switch", func(t *testing.T) {
		dir := filepath.Join(testutil.ShortDir(t), "sw")
		cmd := command(t, "switch", dir)
		finish := start(t, cmd)
		if err := cmd.Process.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if text, err := finish(); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	})
	t.Run("capture", func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw"))
		name := filepath.Join(t.TempDir(), "x.pcapng")
		cmd := command(t, "capture", dir, "-w", name)
		finish := start(t, cmd)
		if err := cmd.Process.Signal(unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if text, err := finish(); err != nil || !strings.Contains(text, "0 frames captured.") {
			t.Errorf("%v\n%s", err, text)
		}
		// The counters at the end of the file.
		if b, err := os.ReadFile(name); err != nil || !strings.Contains(string(b), "\x05\x00\x00\x00") {
			t.Errorf("the file is not complete: %d bytes, %v", len(b), err)
		}
	})
}

// TestNohup checks that SIGHUP stays ignored where it was at the start. A shell ignores
// it, because this process could not restore it: what signal.Ignore has done to SIGHUP,
// signal.Reset does not undo for the processes that are started later.
func TestNohup(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	cmd := command(t, "switch", dir)
	cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	finish := start(t, cmd)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^SigIgn:\s+([0-9a-f]+)$`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no mask of ignored signals:\n%s", status)
	}
	if mask, err := strconv.ParseUint(string(m[1]), 16, 64); err != nil || mask&1 == 0 {
		t.Errorf("SIGHUP is not ignored: %#x, %v", mask, err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if text, err := finish(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v, want %v", dir, err, fs.ErrNotExist)
	}
}
