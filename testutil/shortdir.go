// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

// ShortDir returns a new directory that the test's end removes. Its path is shorter than that of t.TempDir, since
// the name of a unix socket may have at most 107 bytes. Others may enter it (mode 0755), so that peers running as another
// user reach the sockets inside, each of which has a mode of its own.
func ShortDir(t testing.TB) string {
	t.Helper()
	parent := os.TempDir()
	if info, err := os.Stat("/tmp"); err == nil && info.IsDir() {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "vde")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("remove %s: %v", dir, err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
