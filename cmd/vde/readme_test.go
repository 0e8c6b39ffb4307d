// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
)

// TestReadme runs the program of the README as it stands there, against the
// commands that stand there.
func TestReadme(t *testing.T) {
	testpeers.Need(t, "CAP_SYS_ADMIN", "CAP_NET_ADMIN", "go")
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindSubmatch(text)
	serve := regexp.MustCompile(`(?m)^vde serve .* &$`).Find(text)
	start := regexp.MustCompile(`(?m)^vde switch .* &$`).Find(text)
	if program == nil || serve == nil || start == nil {
		t.Fatal("the README has no program, no vde serve or no vde switch")
	}
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(source, program[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(testpeers.GoBuild(), "-o", binary, source)...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	t.Setenv("PROGRAM", binary)
	script := "mkdir /tmp/web\ncd /tmp/web\necho 'hello from the machine' >index.html\n" +
		string(start) + "\n" + string(serve) + "\nprogram\n"
	checkScript(t, testpeers.TestBinaryForAnyUser(t), script, `(?m)^hello from the machine$`)
}
