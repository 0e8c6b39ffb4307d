// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/pool"
)

// Main runs a package's tests and fails if goroutines are left at their end. Call it from TestMain.
func Main(m *testing.M) { goleak.VerifyTestMain(m) }

// leakPatience is how long the checks wait for things that a test releases without waiting: a descriptor whose
// last user is still inside a system call, a name that another process removes, a goroutine that is about to
// end. There is no event to wait for, so the checks look again, at intervals that grow from 1 to 50 ms. A real
// leak costs a test this long.
var leakPatience = 10 * time.Second

// patiently calls check until it returns an empty string or patience is over, and returns its last result.
func patiently(check func() string) string {
	end := time.Now().Add(leakPatience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		problem := check()
		if problem == "" || time.Now().After(end) {
			return problem
		}
		time.Sleep(pause)
	}
}

// NoLeaks fails the test if, at its end, this process has descriptors or goroutines that it did not have when
// NoLeaks was called. Call it first: cleanups registered later run before the check. NoLeaks checks the
// whole process, so do not call it in a test that runs in parallel with others. Descriptors are checked on Linux
// only. If the test calls io.Copy between two stream sockets, wrap one of them, since the Go runtime keeps the
// pipe that it uses for the copy.
func NoLeaks(t testing.TB) {
	t.Helper()
	goroutines := goleak.IgnoreCurrent()
	before := openfiles.Open()
	t.Cleanup(func() {
		if t.Failed() {
			return // a test that stopped half-way leaves things behind
		}
		if problem := patiently(func() string {
			if err := goleak.Find(goroutines); err != nil {
				return err.Error()
			}
			return ""
		}); problem != "" {
			t.Errorf("goroutines left: %s", problem)
		}
		if problem := patiently(func() string {
			var left []string
			for _, f := range openfiles.Open().Since(before) {
				left = append(left, f.String())
			}
			slices.Sort(left)
			return strings.Join(left, ", ")
		}); problem != "" {
			t.Errorf("descriptors left: %s", problem)
		}
	})
}

// NoFiles fails the test if, at its end, dir holds names that were not there when NoFiles was called, or no
// longer holds some that were. A directory that does not exist counts as empty. Call it before starting what
// might leave files.
func NoFiles(t testing.TB, dir string) {
	t.Helper()
	before := names(t, dir)
	t.Cleanup(func() {
		if problem := patiently(func() string {
			after := names(t, dir)
			if slices.Equal(before, after) {
				return ""
			}
			return fmt.Sprintf("%q, were %q", after, before)
		}); problem != "" {
			t.Errorf("files in %s: %s", dir, problem)
		}
	})
}

func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// NoLive fails the test if, at its end, live does not return 0; give it the count of a pool's buffers in use.
func NoLive(t testing.TB, what string, live func() int64) {
	t.Helper()
	t.Cleanup(func() {
		if problem := patiently(func() string {
			if n := live(); n != 0 {
				return fmt.Sprint(n)
			}
			return ""
		}); problem != "" {
			t.Errorf("%s: %s live at the end", what, problem)
		}
	})
}

// NoLiveBuffers fails the test if, at its end, buffers of pools are in use. For the frames of a connection, give it
// the connection's FramePools. With the build tag poolleak it names who took each of them and who holds it, such as
// the connection whose Frames have delivered it.
func NoLiveBuffers(t testing.TB, what string, pools ...*pool.Pool) {
	t.Helper()
	t.Cleanup(func() {
		if problem := patiently(func() string {
			var live int64
			var leaks []string
			for _, p := range pools {
				live += p.Stats().Live
				leaks = append(leaks, p.Leaks()...)
			}
			switch {
			case live == 0:
				return ""
			case !pool.LeakMode:
				return fmt.Sprintf("%d live at the end; build with -tags poolleak to see whose", live)
			}
			return fmt.Sprintf("%d live at the end:\n\t%s", live, strings.Join(leaks, "\n\t"))
		}); problem != "" {
			t.Errorf("%s: %s", what, problem)
		}
	})
}
