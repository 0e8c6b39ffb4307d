// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoBarOffTerminal checks that a file gets no progress bar.
func TestNoBarOffTerminal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, bar := range []interface {
		Add(int) error
		Finish() error
	}{newBar(log, 10, "bytes", false), newBar(&text, 10, "frames", false)} {
		if err := bar.Add(5); err != nil {
			t.Error(err)
		}
		if err := bar.Finish(); err != nil {
			t.Error(err)
		}
	}
	log.Close()
	if b, err := os.ReadFile(name); err != nil || len(b) > 0 || text.Len() > 0 {
		t.Errorf("%q, %q, %v", b, text.String(), err)
	}
}
