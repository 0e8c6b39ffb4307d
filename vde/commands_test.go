// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
)

// TestWithoutCommands checks that a program can refuse locators that name a command.
func TestWithoutCommands(t *testing.T) {
	dir := t.TempDir()
	made, file := filepath.Join(dir, "made"), filepath.Join(dir, "network")
	locator := "cmd://touch " + made
	if err := os.WriteFile(file, []byte(locator+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, vnl := range []string{locator, file} {
		c, err := vde.Open(t.Context(), vnl, vde.WithDrivers(link.Mux{"cmd": nil}))
		if err == nil {
			c.Close()
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", vnl, err)
		}
	}
	if _, err := os.Stat(made); !os.IsNotExist(err) {
		t.Errorf("a command was run: %v", err)
	}
}
