// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestBinary returns the path of the running test binary, for tests that run it again as another program.
func TestBinary(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBinaryForAnyUser returns the path of a copy of the running test binary that every user may run. The copy
// is removed at the end of the test.
func TestBinaryForAnyUser(t testing.TB) string {
	t.Helper()
	return copyProgram(t, TestBinary(t))
}

// GoBuild returns the arguments of a go command with which a test builds a program: with the race detector if the
// test has it, so that what both stand on is compiled once.
func GoBuild() []string {
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return []string{"build", "-race"}
	}
	return []string{"build"}
}

// copyProgram copies a program to where any user may run it.
func copyProgram(t testing.TB, path string) string {
	t.Helper()
	copied := filepath.Join(testutil.ShortDir(t), filepath.Base(path))
	// Not written by this process: a child forked meanwhile would hold it open and make it "busy".
	if out, err := exec.Command("install", "-m", "755", path, copied).CombinedOutput(); err != nil {
		t.Fatalf("install: %v\n%s", err, out)
	}
	return copied
}
