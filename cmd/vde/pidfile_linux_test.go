// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPidFileRefused checks what no process id is written to: what others may have put in
// the place of the file.
func TestPidFileRefused(t *testing.T) {
	for _, test := range []struct {
		name, want string
		put        func(path, victim string) error
	}{
		{"symbolic link", "symbolic link", func(path, victim string) error { return os.Symlink(victim, path) }},
		{"symbolic link to nothing", "symbolic link", func(path, victim string) error { return os.Symlink(victim+".new", path) }},
		{"hard link", "hard link", func(path, victim string) error { return os.Link(victim, path) }},
		{"FIFO", "not a regular file", func(path, _ string) error { return unix.Mkfifo(path, 0o600) }},
		{"directory", "not a regular file", func(path, _ string) error { return os.Mkdir(path, 0o700) }},
		{"file of another user", "another user", func(path, _ string) error {
			return errors.Join(os.WriteFile(path, nil, 0o644), os.Chown(path, 65533, 65533))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path, victim := filepath.Join(dir, "pid"), filepath.Join(dir, "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := test.put(path, victim); err != nil {
				if os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
					t.Skip("only root gives files away")
				}
				t.Fatal(err)
			}
			o := daemonOptions{pidFile: path}
			_, err := o.ready()
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
				t.Errorf("the file that was there has %q, %v", text, err)
			}
			if _, err := os.Stat(victim + ".new"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file was made: %v", err)
			}
		})
	}
}

// TestPidFileReplaced checks that the file of a process which has ended is replaced, and
// that of another process not removed.
func TestPidFileReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	own := fmt.Sprintln(os.Getpid())
	for _, test := range []struct{ before, meanwhile string }{
		{"", own}, {"4194304\nand more than a process id has\n", own}, {own, "4194304\n"}, {"", ""},
	} {
		if test.before != "" {
			if err := os.WriteFile(path, []byte(test.before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := daemonOptions{pidFile: path}
		ended, err := o.ready()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != own {
			t.Errorf("%q became %q, %v, want %q", test.before, text, err, own)
		}
		if err := os.WriteFile(path, []byte(test.meanwhile), 0o600); err != nil {
			t.Fatal(err)
		}
		ended()
		text, err := os.ReadFile(path)
		if removed := errors.Is(err, fs.ErrNotExist); removed != (test.meanwhile == own) || !removed && string(text) != test.meanwhile {
			t.Errorf("at the end it has %q, %v, and had %q", text, err, test.meanwhile)
		}
		os.Remove(path)
	}
}
