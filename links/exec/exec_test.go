// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/exec"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vnl"
)

// TestLink holds the links of two commands that relay to each other to what is
// promised of every link. What is on its way when a link is closed has not come, so
// Close cannot count it.
func TestLink(t *testing.T) {
	testutil.NoLeaks(t)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a relay is to end at once
	program := testpeers.TestBinary(t)
	n := 0
	linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
		n++
		path := filepath.Join(testutil.ShortDir(t), fmt.Sprint(n))
		a, b = open(tb, link.Settings{}, program, "relay", path), open(tb, link.Settings{}, program, "relay", path)
		send(t, a, numbered(0, 60)) // so that each has found the other
		recv(t, b)
		return a, b, nil
	}, linktest.Options{NoCount: true})
}

// TestOpenErrors checks that a command which cannot be started is an error of Open.
func TestOpenErrors(t *testing.T) {
	testutil.NoLeaks(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		ctx  context.Context
		line string
		max  int
		is   error
		want string
	}{
		{t.Context(), "", 0, syscall.EINVAL, "no command"},
		{t.Context(), " ; cat", 0, syscall.EINVAL, "no command"},
		{t.Context(), "no-such-command x", 0, osexec.ErrNotFound, `"no-such-command"`},
		{t.Context(), "/nowhere/x", 0, fs.ErrNotExist, "/nowhere/x"},
		{t.Context(), "$CAT x", 0, nil, `""`},
		{t.Context(), file, 0, fs.ErrPermission, file},
		{t.Context(), "cat", 65536, nil, "65535"},
		{cancelled, "cat", 0, context.Canceled, ""},
	} {
		l, err := exec.Driver{}.Open(test.ctx, vnl.Parse("cmd://"+test.line), link.Settings{MaxFrameSize: test.max})
		if l != nil || err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, %v; want %v with %q", test.line, l, err, test.is, test.want)
		}
	}
}

// TestEnvironment checks that a command has the environment of this program.
func TestEnvironment(t *testing.T) {
	t.Setenv("VDE_TEST_WORD", "hello")
	l := shell(t, `echo "$VDE_TEST_WORD" >&2`)
	if err := ended(t, l); !strings.HasSuffix(err.Error(), ": hello") {
		t.Errorf("%v", err)
	}
}

// TestDescriptors checks that a command does not have the pipes of another, so that
// each learns of its end.
func TestDescriptors(t *testing.T) {
	testutil.NoLeaks(t)
	name := filepath.Join(t.TempDir(), "ended")
	first := shell(t, "cat >/dev/null; echo >"+name)
	second := shell(t, "cat")
	if _, err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(name); err != nil {
		t.Errorf("the first command was not told: %v", err)
	}
	send(t, second, numbered(1, 60))
	if got := recv(t, second); numberOf(got) != 1 {
		t.Errorf("% x", got)
	}
}

// TestAddress checks the name of the link.
func TestAddress(t *testing.T) {
	testpeers.Need(t, "cat")
	l, err := exec.Driver{}.Open(t.Context(), vnl.Parse("cmd://cat"), link.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Caps().Address; got != "cmd://cat" {
		t.Errorf("address %q", got)
	}
}

// TestEnd checks that the reason of the end has the exit status and the last words
// of the command.
func TestEnd(t *testing.T) {
	testutil.NoLeaks(t)
	for _, test := range []struct {
		name, script, want string
		hangup             bool
		code               int
	}{
		{"well", "exit 0", `command "sh" ended`, true, 0},
		{"badly", "exit 3", `command "sh" ended: exit status 3`, true, 3},
		{"with words", "echo first >&2; echo 'no such host' >&2; echo >&2; exit 255", `ended: exit status 255: no such host`, true, 255},
		{"with control characters", `printf 'a\033[1mb\rc\001d\n' >&2; exit 1`, `exit status 1: c?d`, true, 1},
		{"with many words", "i=0; while [ $i -lt 9000 ]; do echo $i; i=$((i+1)); done >&2; exit 1", `exit status 1: 8999`, true, 1},
		{"killed", "kill -KILL $$", `ended: signal: killed`, true, -1},
		{"within a length", `printf '\000'`, `command "sh" ended, within a frame`, true, 0},
		{"within a frame", `printf '\000\020abc'; exit 2`, `command "sh" ended: exit status 2, within a frame`, true, 2},
		{"not frames", "echo Welcome to this host; cat", `command "sh": a frame of 22373 bytes`, false, 0},
		{"another has its standard error", "sleep 60 >/dev/null & exit 4", `ended: exit status 4`, true, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := shell(t, test.script)
			err := ended(t, l)
			if !strings.Contains(err.Error(), test.want) || errors.Is(err, link.ErrHangup) != test.hangup {
				t.Errorf("%v, want %q", err, test.want)
			}
			var exit *osexec.ExitError
			if errors.As(err, &exit) != (test.code != 0) || test.code != 0 && exit.ExitCode() != test.code {
				t.Errorf("%v: want exit code %d", err, test.code)
			}
			buf := [][]byte{make([]byte, 100)}
			if _, again := l.Recv(link.Rx{Bufs: buf, Sizes: make([]int, 1)}); !errors.Is(again, err) {
				t.Errorf("Recv: %v, want %v", again, err)
			}
		})
	}
}

// TestSlowFrame checks that a frame may come in pieces: each byte is written by
// itself, and the next when the test says so.
func TestSlowFrame(t *testing.T) {
	l := shell(t, `for byte in 000 003 141 142 143 000 001 144; do read line; printf "\\$byte"; done; cat >/dev/null`)
	for range 8 { // a frame is two bytes more: 9 and a newline, which read takes
		send(t, l, []byte("\n"))
	}
	for _, want := range []string{"abc", "d"} {
		if got := recv(t, l); string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestStderr checks that the standard error can be the caller's.
func TestStderr(t *testing.T) {
	testpeers.Need(t, "sh")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := exec.Driver{Stderr: w}.Open(t.Context(), vnl.Parse(`cmd://sh -c "echo words >&2; exit 3"`), link.Settings{})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := ended(t, l); !strings.HasSuffix(err.Error(), "exit status 3") {
		t.Error(err)
	}
	if text, err := io.ReadAll(r); string(text) != "words\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}
