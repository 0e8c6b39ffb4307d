// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/testutil"
)

func TestShortDir(t *testing.T) {
	var dir string
	r := recordtb.Run(t, func(tb testing.TB) {
		dir = testutil.ShortDir(tb)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Error(err)
		}
		if err := os.WriteFile(dir+"/x", nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) || r.Failed() {
		t.Errorf("still there: %v %q", err, r.Errors)
	}
	if len(dir) > 24 && runtime.GOOS == "linux" {
		t.Errorf("%q is not short", dir)
	}
}
