// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ptp_test

import (
	"os"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestPathLikeAbstractName opens a path that begins with @, which is a file as to
// libvdeplug, and not an abstract name.
func TestPathLikeAbstractName(t *testing.T) {
	t.Chdir(testutil.ShortDir(t))
	a, b := mustOpen(t, "@cable"), mustOpen(t, "@cable")
	exchange(t, a, b)
	for _, name := range []string{"@cable", "@cable+"} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
