// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package exec_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/exec"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vnl"
)

// pidIn waits for a command to send a frame with a process id in it.
func pidIn(t *testing.T, l link.Link) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(string(recv(t, l))))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// sendPID is a piece of a script that sends the process id in $pid, 5 bytes or more
// long, in a frame of 20 bytes.
const sendPID = `printf '\000\024%20s' $pid; `

// gone waits for a process to end. A zombie has not ended: its parent is this
// program, or a command that was to be ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // others reap it
		err := unix.Kill(pid, 0)
		if err == unix.ESRCH {
			return
		}
		if stat, e := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); e == nil && strings.Contains(string(stat), ") Z ") && !ours(stat) {
			return // an orphan, which init has to reap
		}
		if time.Now().After(end) {
			t.Fatalf("process %d is still there: %v", pid, err)
		}
	}
}

// ours reports whether the process that stat describes is a child of this one.
func ours(stat []byte) bool {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid())
}

// TestClose checks that Close ends every command, and what it has started.
func TestClose(t *testing.T) {
	testutil.NoLeaks(t)
	for _, test := range []struct {
		name, script string
		long         bool // it takes SIGKILL
	}{
		{"at the end of its input", "pid=$$; " + sendPID + "exec cat >/dev/null", false},
		{"by SIGTERM", "pid=$$; " + sendPID + "exec sleep 3600", false},
		{"by SIGKILL", "trap '' TERM; pid=$$; " + sendPID + "while :; do sleep 3600; done", true},
		{"what it has started", "sleep 3600 & pid=$!; " + sendPID + "cat >/dev/null", false},
		{"what it has started, and what ignores SIGTERM", "(trap '' TERM; exec sleep 3600) & pid=$!; " + sendPID + "cat >/dev/null", true},
		{"while it writes", "pid=$$; " + sendPID + "while printf '\\000\\024%20s' x; do :; done", false},
		{"while it writes, and is not understood", "pid=$$; " + sendPID + "exec yes", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.long && testing.Short() {
				t.Skip("it takes as long as a command may take to end")
			}
			t.Parallel()
			l := shell(t, test.script)
			pid := pidIn(t, l)
			begin := time.Now()
			if _, err := l.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("closed after %v", time.Since(begin))
			gone(t, pid)
		})
	}
}

// TestEndReaps checks that a command which has ended by itself leaves no zombie, and
// nothing that it has started, also before Close.
func TestEndReaps(t *testing.T) {
	l := shell(t, "(exec sleep 3600 >/dev/null 2>&1) & pid=$!; "+sendPID+"pid=$$; "+sendPID)
	started, command := pidIn(t, l), pidIn(t, l)
	if err := ended(t, l); !errors.Is(err, link.ErrHangup) {
		t.Error(err)
	}
	gone(t, command)
	gone(t, started)
}

// TestCloseDelivers checks that frames which Send has accepted reach a command that
// takes its time.
func TestCloseDelivers(t *testing.T) {
	testutil.NoLeaks(t)
	name := filepath.Join(t.TempDir(), "got")
	l := shell(t, "pid=$$; "+sendPID+"sleep 0.1; exec cat >"+name)
	pidIn(t, l)
	const frames = 100
	var want []byte
	for i := range uint32(frames) {
		f := numbered(i, 60)
		send(t, l, f)
		want = append(append(want, 0, 60), f...)
	}
	if _, err := l.Close(); err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the command has %d bytes, want %d: %v", len(got), len(want), err)
	}
	if c := l.Caps().Counters(); c.Unsent != 0 {
		t.Errorf("%d frames unsent", c.Unsent)
	}
}

// TestUnsent checks that a command which does not read makes Send wait, and that the
// frames it has not taken are counted.
func TestUnsent(t *testing.T) {
	testutil.NoLeaks(t)
	l := shell(t, "pid=$$; "+sendPID+"exec sleep 3600")
	pid := pidIn(t, l)
	accepted := 0
	for {
		n, _, err := l.Send(link.Tx{Frames: [][]byte{numbered(0, 1000)}, NoWait: true})
		if errors.Is(err, link.ErrFull) {
			// The writing goroutine may take more from the queue: until the pipe
			// is full too, the deadline decides.
			if err := l.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, _, err = l.Send(link.Tx{Frames: [][]byte{numbered(0, 1000)}})
			if accepted += n; errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			continue
		}
		if accepted += n; err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := ended(t, l); !errors.Is(err, link.ErrHangup) || !strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
	if _, _, err := l.Send(link.Tx{Frames: [][]byte{numbered(0, 1000)}}); !errors.Is(err, link.ErrHangup) {
		t.Errorf("Send after the end: %v", err)
	}
	if _, err := l.Close(); err != nil {
		t.Error(err)
	}
	// What the pipe had taken was sent: up to its capacity of 8192 bytes.
	if c := l.Caps().Counters(); int(c.Unsent) > accepted || accepted-int(c.Unsent) > 8 {
		t.Errorf("%d frames unsent of %d", c.Unsent, accepted)
	}
}

// TestForeground checks in which process group a command is.
func TestForeground(t *testing.T) {
	testpeers.Need(t, "linux", "sh", "cut")
	for _, foreground := range []bool{false, true} {
		l, err := exec.Driver{Foreground: foreground}.Open(t.Context(), vnl.Parse("cmd://"+exec.Quote("sh", "-c", "cut -d' ' -f5 /proc/$$/stat >&2")), link.Settings{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ours := strings.HasSuffix(ended(t, l).Error(), fmt.Sprintf(": %d", unix.Getpgrp()))
		if ours != foreground {
			t.Errorf("Foreground %v: %v", foreground, l.Err())
		}
	}
}
