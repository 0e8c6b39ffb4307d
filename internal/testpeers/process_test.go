// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
)

// state returns the kernel's letter for the state of a process: S asleep, R running, T stopped.
func state(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}

func TestProcessEndOfInput(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "linux", "sh", "cat")
	p := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"sh", "-c", "echo $GREETING >&2; cat; exit 3"}, Env: []string{"GREETING=hello"}})
	if !p.Running() || p.Err() != nil {
		t.Errorf("running %v, err %v", p.Running(), p.Err())
	}
	p.CloseInput()
	err := p.Wait(t.Context())
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || p.Running() || p.Err() != err {
		t.Errorf("ended with %v, running %v, err %v", err, p.Running(), p.Err())
	}
	if p.Log() != "hello\n" {
		t.Errorf("log %q", p.Log())
	}
	p.Stop()
	p.Kill()
}

func TestProcessPause(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "linux", "sh")
	p := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"sh", "-c", "while :; do :; done"}})
	for range 20 {
		p.Pause()
		if s := state(t, p.PID()); s != "T" {
			t.Fatalf("paused, but its state is %s", s)
		}
		p.Pause() // again is no harm
		p.Resume()
		if s := state(t, p.PID()); s == "T" {
			t.Fatal("resumed, but still stopped")
		}
	}
	p.Pause()
	p.Stop()
	if p.Running() {
		t.Error("a paused process was not stopped")
	}
}

func TestProcessKillPaused(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "linux", "sleep")
	p := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"sleep", "1000"}})
	p.Pause()
	p.Kill()
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) {
		t.Errorf("ended with %v", p.Err())
	}
}

func TestProcessLogOfAFailedTest(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "linux", "sh")
	r := recordtb.Run(t, func(tb testing.TB) {
		p := testpeers.StartProcess(tb, testpeers.ProcessConfig{Args: []string{"sh", "-c", "echo last words"}})
		p.Wait(t.Context())
		tb.Errorf("failed")
	})
	if len(r.Logs) != 1 || !strings.Contains(r.Logs[0], "last words") {
		t.Errorf("logged %q", r.Logs)
	}
}

func TestProcessWithoutProgram(t *testing.T) {
	testutil.NoLeaks(t)
	r := recordtb.Run(t, func(tb testing.TB) {
		testpeers.StartProcess(tb, testpeers.ProcessConfig{Args: []string{"no-such-program"}})
	})
	if len(r.Fatals) != 1 {
		t.Errorf("fatal %q", r.Fatals)
	}
}

func TestProcessOfAnotherUser(t *testing.T) {
	testutil.NoLeaks(t)
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "id")
	p := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"id"}, User: &testpeers.Credential{UID: 65534, GID: 65534}})
	if err := p.Wait(t.Context()); err != nil || !strings.Contains(p.Log(), "uid=65534") || strings.Contains(p.Log(), "root") {
		t.Errorf("%v: %s", err, p.Log())
	}
}
