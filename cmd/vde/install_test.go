// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/go-vde/sdk/internal/testpeers"
)

// TestManual checks that each command has a page, and each flag a paragraph in it.
func TestManual(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if out, err := execute(t.Context(), "man", dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pages := 0
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		pages++
		text, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil {
			t.Error(err)
		}
		want := []string{".TH VDE", "\n.SH NAME\n", strings.ReplaceAll(c.Short, "-", `\-`), ".SH EXIT STATUS"}
		c.Flags().VisitAll(func(f *pflag.Flag) { want = append(want, `\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)) })
		for _, w := range want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s lacks %q:\n%s", c.CommandPath(), w, text)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(newRoot())
	if pages < 10 {
		t.Errorf("%d pages", pages)
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		return // what it warns of is seen where it is
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var warnings bytes.Buffer
		cmd := exec.CommandContext(t.Context(), groff, "-man", "-ww", "-z", "-Tutf8", name)
		cmd.Stderr = &warnings
		if err := cmd.Run(); err != nil || warnings.Len() > 0 {
			t.Errorf("%v\n%s", err, &warnings)
		}
	}
}

// TestRoff checks that text stays text in a page.
func TestRoff(t *testing.T) {
	if got, want := roff(".a\\b\n'c --d"), "\\&.a\\eb\n\\&'c \\-\\-d"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// copyGo is a go command whose build copies this test program, which is the command
// itself with commandVariable in its environment.
const copyGo = `#!/bin/sh
set -eu
test $# = 4 && test "$1 $2 $4" = "build -o ./cmd/vde"
cp "$VDE" "$3"
`

// TestInstall runs make install into a directory of its own. In the short run it
// installs this test program and compiles nothing.
func TestInstall(t *testing.T) {
	testpeers.Need(t, "make", "go")
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "-C", "../..", "install", "DESTDIR="+dir, "PREFIX=/usr")
	if testing.Short() {
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "go"), []byte(copyGo), 0o700); err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "VDE="+testpeers.TestBinary(t), commandVariable+"=1", "GORACE=atexit_sleep_ms=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, want := range map[string]string{
		"bin/vde":                                  "",
		"share/man/man1/vde.1":                     ".TH VDE 1",
		"share/man/man1/vde-demo-frames.1":         ".TH VDE-DEMO-FRAMES 1",
		"share/bash-completion/completions/vde":    "__start_vde",
		"share/zsh/site-functions/_vde":            "#compdef vde",
		"share/fish/vendor_completions.d/vde.fish": "complete -c vde",

		"lib/systemd/system/vde-switch@.service":        "\nExecStart=/usr/bin/vde switch ",
		"lib/systemd/system/vde-switch-metrics@.socket": "\nService=vde-switch@%i.service\n",
	} {
		if b, err := os.ReadFile(filepath.Join(dir, "usr", name)); err != nil || !strings.Contains(string(b), want) || len(b) == 0 {
			t.Errorf("%s: %d bytes without %q, %v", name, len(b), want, err)
		}
	}
}
